"""An issuer that answers as it must not, or slowly, costs a sentence: no sign-in, no trace, and nobody's guesses."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import gateway.oidc
from gateway.app import create_app
from gateway.guesses import LIMIT
from gateway.owner import secret_owner
from tailrace.access.store import MemoryCredentials
from tailrace.config import Settings
from tailrace.log.memory import MemoryLog
from tests.support.http import serve

DEEP = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
Answer = Callable[[dict[str, str]], Response]


class Strange:
    """An issuer whose answers can be replaced. Its answer is made from the one that is right."""

    def __init__(self) -> None:
        self.metadata: Answer = JSONResponse
        self.tokens: Answer = JSONResponse

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._published),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _published(self, request: Request) -> Response:
        own = str(request.base_url).rstrip("/")
        endpoints = {f"{name}_endpoint": f"{own}/{name}" for name in ("authorization", "token")}
        return self.metadata({"issuer": own, **endpoints})

    async def _token(self, _: Request) -> Response:
        return self.tokens({"id_token": id_token({"sub": "nobody"})})


def id_token(claims: Any) -> str:
    content = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return f"e30.{base64.urlsafe_b64encode(content).decode().rstrip('=')}.x"


def always(content: bytes, status: int = 200, **headers: str) -> Answer:
    return lambda _: Response(content, status, {name.replace("_", "-"): value for name, value in headers.items()})


def but(**changed: Any) -> Answer:
    return lambda right: JSONResponse({**right, **changed})


@asynccontextmanager
async def site(issuer: Strange) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(issuer.app()) as issuer_url:
        settings = Settings(
            log="memory", orchestrator_url="http://127.0.0.1:9/", oidc_issuer=issuer_url, oidc_client_id="tailrace"
        )
        app = create_app(
            settings, log=MemoryLog(), credentials=MemoryCredentials(), decide_owner=secret_owner("")
        )  # fmt: skip
        async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
            yield http


async def signed_in(http: httpx.AsyncClient) -> httpx.Response:
    """The last answer of a sign-in."""
    begun = await http.get("/api/auth/login")
    if begun.status_code != 303:
        return begun
    state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
    return await http.get("/api/auth/callback", params={"state": state, "code": "c"})


@pytest.mark.parametrize(
    "answer",
    [
        always(b"<html>"),
        always(b"null"),
        always(b"\xff"),
        always(DEEP),
        always(b" " * 300_000),
        always(b"x", content_encoding="gzip"),
        always(gzip.compress(b" " * 3_000_000), content_encoding="gzip"),
        always(b"{}", 500),
        always(b"", 302, location="https://evil.example/"),
        but(issuer="https://evil.example"),
        but(authorization_endpoint="https://[x"),
        but(authorization_endpoint="javascript:alert(1)"),
        but(authorization_endpoint="http://x.example/\r\nset-cookie: a=b"),
        but(authorization_endpoint=""),
        but(token_endpoint="https://[x"),
        but(token_endpoint="http://127.0.0.1:99999/"),
        but(token_endpoint="file:///etc/passwd"),
        but(userinfo_endpoint="nowhere"),
    ],
)
async def test_metadata_that_cannot_be_used_is_told_in_words(answer: Answer) -> None:
    issuer = Strange()
    issuer.metadata = answer
    async with site(issuer) as http:
        failed = await signed_in(http)
        assert (failed.status_code, "The sign-in did not work." in failed.text) == (502, True)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (always(b"<html>"), 502),
        (always(DEEP), 502),
        (always(b"{}"), 502),
        (always(b'{"error":"invalid_client"}', 401), 502),
        (always(b'{"error":"invalid_grant"}', 400), 403),
        (but(), 403),
        (but(id_token=""), 403),
        (but(id_token="e30.é.x"), 403),
        (but(id_token=id_token(b"[" * 10_000 + b"]" * 10_000)), 403),
    ],
)
async def test_tokens_that_cannot_be_used_let_nobody_in(answer: Answer, status: int) -> None:
    issuer = Strange()
    issuer.tokens = answer
    async with site(issuer) as http:
        failed = await signed_in(http)
        assert (failed.status_code, "The sign-in did not work." in failed.text) == (status, True)
        assert (await http.get("/api/auth/me")).status_code == 401


async def test_an_answer_that_never_comes_to_its_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, so only the time for all of it is too long."""
    monkeypatch.setattr(gateway.oidc, "_TIMEOUT_S", 0.3)

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    issuer = Strange()
    issuer.metadata = lambda _: StreamingResponse(drops())
    async with site(issuer) as http:
        assert (await signed_in(http)).status_code == 502


async def test_an_issuer_that_is_down_costs_nobody_a_guess() -> None:
    issuer = Strange()
    issuer.tokens = always(b"", 503)
    async with site(issuer) as http:
        assert {(await signed_in(http)).status_code for _ in range(LIMIT + 1)} == {502}


@pytest.mark.parametrize("value", [b"{}", DEEP[:20_000], b'{"state":"s","nonce":"n","verifier":"v","to":"//evil"}'])
async def test_a_sign_ins_cookie_that_is_not_ours_is_none(value: bytes) -> None:
    async with site(Strange()) as http:
        cookie = f"tailrace-login-{http.base_url.port}-s={base64.urlsafe_b64encode(value).decode()}"
        refused = await http.get("/api/auth/callback?state=s&code=c", headers={"cookie": cookie})
        assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
