"""The A2A client: ask an agent, follow its streams, come back with a cursor (specification, section 9).

Speaks 1.0. Streams are given as bytes, so that whoever passes an event on need not decode it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec

from tailrace import sse
from tailrace.a2a.card import CARD_PATH
from tailrace.a2a.jsonrpc import NOT_JSON
from tailrace.aws import FunctionUrlAuth
from tailrace.errors import AgentError, shorten
from tailrace.events import EXTENSION
from tailrace.owner import OWNER_HEADER

# An agent's stream is silent for as long as its work is, but for heartbeats.
_SILENCE_S = 60.0


class Incoming(msgspec.Struct, frozen=True):
    """One event of a stream: its seq (None from an agent without our extension) and its JSON, not checked."""

    seq: int | None
    event: bytes


class _Reply(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"")
    error: dict[str, Any] | None = None


_decode_reply = msgspec.json.Decoder(_Reply).decode


def new_http() -> httpx.AsyncClient:
    """An HTTP client fit for calls and long streams to many agents; it signs what goes to a Function URL."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(10.0, read=_SILENCE_S),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        auth=FunctionUrlAuth(),
    )


class AgentClient:
    """The agent at `url`, asked on behalf of `owner`."""

    def __init__(self, http: httpx.AsyncClient, url: str, *, owner: str) -> None:
        self._http = http
        self._url = url
        self._headers = {"A2A-Version": "1.0", "A2A-Extensions": EXTENSION, OWNER_HEADER: owner}

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        """The result of a method that answers once.

        Raises:
            AgentError: the agent could not be reached, or answered with an error (its code is kept).
        """
        with _agent_errors(self._url):
            response = await self._http.post(self._url, json=_request(method, params, 1), headers=self._headers)
            result = _result(response.status_code, response.content, self._url)
        try:
            return msgspec.json.decode(result)
        except NOT_JSON as error:
            raise AgentError(f"{self._url} answered {method} with something that is no JSON: {error}.") from None

    async def stream(
        self, method: str, params: dict[str, Any], *, rpc_id: str = "1", last_event_id: int | None = None
    ) -> AsyncIterator[list[Incoming]]:
        """The events of a streaming method, in groups as they arrive.

        A stream that ends without a terminal or waiting state was cut; the caller may come back with
        `SubscribeToTask` and `last_event_id`.

        Raises:
            AgentError: the agent could not be reached, refused, or broke off.
        """
        headers = {**self._headers, "Accept": sse.MEDIA_TYPE}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        with _agent_errors(self._url):
            async with self._http.stream(
                "POST", self._url, json=_request(method, params, rpc_id), headers=headers
            ) as response:
                if not response.headers.get("content-type", "").startswith(sse.MEDIA_TYPE):
                    _result(response.status_code, await response.aread(), self._url)
                    raise AgentError(f"{self._url} answered {method} with something that is no stream.")
                # Other agents' `id:`s may be anything: random, or counted per connection.
                numbered = EXTENSION in response.headers.get("a2a-extensions", "")
                envelope, parser = sse.Envelope(rpc_id), sse.Parser()
                async for chunk in response.aiter_bytes():
                    group = [
                        Incoming(_seq(message.id) if numbered else None, _event(message, envelope, self._url))
                        for message in parser.feed(chunk)
                    ]
                    if group:
                        yield group


async def discover(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """The card of the agent at `url`: its base URL, or that of the card itself.

    Raises:
        AgentError: there is no card there.
    """
    place = url if url.endswith(".json") else f"{url.rstrip('/')}/{CARD_PATH}"
    with _agent_errors(url):
        response = await http.get(place)
        if response.status_code != 200:
            raise AgentError(f"{place} answered {response.status_code} instead of an agent card.")
        try:
            card = msgspec.json.decode(response.content)
        except NOT_JSON as error:
            raise AgentError(f"{place} is no agent card: {error}.") from None
    if not isinstance(card, dict) or not isinstance(card.get("name"), str):
        raise AgentError(f"{place} is no agent card: it has no name.")
    return card


def interface_of(card: dict[str, Any], url: str) -> str:
    """The URL where a card's agent speaks JSON-RPC in 1.0.

    Raises:
        AgentError: the card names none.
    """
    for interface in card.get("supportedInterfaces") or []:
        match interface:
            case {"protocolBinding": "JSONRPC", "protocolVersion": str(version), "url": str(place)}:
                if version.startswith("1."):
                    return place
    raise AgentError(f"The agent {shorten(card['name'])!r} at {url} offers no JSON-RPC interface of A2A 1.0.")


def _request(method: str, params: dict[str, Any], rpc_id: str | int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": params}


def _result(status: int, body: bytes, url: str) -> bytes:
    try:
        reply = _decode_reply(body)
    except NOT_JSON:
        raise AgentError(f"{url} answered {status} with something that is no JSON-RPC.") from None
    if reply.error is not None:
        raise AgentError(str(reply.error.get("message", "an error without a message")), code=reply.error.get("code"))
    if not bytes(reply.result):
        raise AgentError(f"{url} answered {status} without a result.")
    return bytes(reply.result)


def _event(message: sse.Message, envelope: sse.Envelope, url: str) -> bytes:
    event = envelope.open(message.data)
    return _result(200, message.data, url) if event is None else event


def _seq(given: str) -> int | None:
    return int(given) if given.isascii() and given.isdigit() and len(given) <= 15 else None


@contextlib.contextmanager
def _agent_errors(url: str) -> Any:
    try:
        yield
    except httpx.HTTPError as error:
        what = str(error).rstrip(".") or type(error).__name__
        raise AgentError(f"{url} could not be reached: {what}.") from None
    except httpx.InvalidURL as error:
        raise AgentError(f"{shorten(url)!r} is no URL: {error}.") from None
