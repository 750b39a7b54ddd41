"""What is between the containers of `sam local`."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deploy.sam_local.proxy import Proxy
from tests.support.http import serve


@pytest.mark.parametrize(
    ("answer", "status", "retry_after"),
    [
        # sam's, when a container does not answer in time: who asks tries again, as on Lambda without an execution.
        (JSONResponse({"message": "Internal server error"}, 502), 503, "1"),
        (JSONResponse({"name": "analyst"}), 200, None),
        (PlainTextResponse("the emulated services do not run", 503), 503, None),
    ],
    ids=["a container that is not there", "an answer", "a refusal"],
)
async def test_an_agent_whose_container_is_not_there_has_no_room_yet(
    answer: Response, status: int, retry_after: str | None
) -> None:
    async def sam(_: Request) -> Response:
        return answer

    async with serve(Starlette(routes=[Route("/agents/Analyst/", sam)])) as url:
        proxy = Proxy(url)
        transport = httpx.ASGITransport(proxy.agents())
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
            got = await http.get("/agents/Analyst/")
            assert (got.status_code, got.headers.get("retry-after")) == (status, retry_after)
            assert got.content == answer.body
        await proxy.close()


async def test_without_sam_the_answer_names_it() -> None:
    proxy = Proxy("http://127.0.0.1:9")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(proxy.agents()), base_url="http://here") as http:
        got = await http.get("/agents/Analyst/")
    assert got.status_code == 502
    assert got.text.startswith("sam local start-api: ")
    await proxy.close()
