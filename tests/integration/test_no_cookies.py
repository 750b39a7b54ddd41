"""A cookie that a server sets for one owner's request is not sent with another's."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace.a2a.client import new_http
from tests.support.http import serve


async def test_an_agents_cookie_does_not_come_back_with_another_owners_request() -> None:
    cookies: list[str | None] = []

    async def answer(request: Request) -> Response:
        cookies.append(request.headers.get("cookie"))
        return Response(headers={"Set-Cookie": "session=alice; Path=/"})

    async with serve(Starlette(routes=[Route("/", answer)])) as url, new_http() as http:
        for _ in range(2):
            assert "set-cookie" in (await http.get(url)).headers
    assert cookies == [None, None]
