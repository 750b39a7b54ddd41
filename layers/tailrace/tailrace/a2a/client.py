"""The A2A client: ask an agent, follow its streams, come back with a cursor (specification, section 9).

Speaks 1.0, and gives what it hears in 1.0. An agent that does not know 1.0's methods is asked in 0.3 instead, from then
on. Streams are given as bytes, so that whoever passes an event on need not decode it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from tailrace import sse
from tailrace.a2a import peer03
from tailrace.a2a.card import CARD_PATH
from tailrace.a2a.jsonrpc import NOT_JSON
from tailrace.a2a.trust import is_own_agent
from tailrace.aws import FunctionUrlAuth
from tailrace.config import Settings
from tailrace.errors import AgentError, shorten
from tailrace.events import EXTENSION
from tailrace.owner import OWNER_HEADER

# An agent's stream is silent for as long as its work is, but for heartbeats.
_SILENCE_S = 60.0


# The URLs of agents that have turned out to speak 0.3.
_old: set[str] = set()
# What an agent answers to a method it does not know, and which every agent of 1.0 knows.
_UNKNOWN_METHOD = (-32601, -32600)
_CORE = ("SendMessage", "SendStreamingMessage", "GetTask", "CancelTask")


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
    """The agent at `url`, asked on behalf of `owner`. Only our own agents are told that, and the secret of the run."""

    def __init__(self, http: httpx.AsyncClient, url: str, *, owner: str, settings: Settings) -> None:
        self._http = http
        self._url = url
        self._headers = {"A2A-Version": "1.0", "A2A-Extensions": EXTENSION}
        if is_own_agent(url, settings):
            self._headers[OWNER_HEADER] = owner
            if settings.run_secret:
                self._headers["Authorization"] = f"Bearer {settings.run_secret}"

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        """The result of a method that answers once.

        Raises:
            AgentError: the agent could not be reached, or answered with an error (its code is kept).
        """
        try:
            return await self._call(method, params, old=self._url in _old)
        except AgentError as error:
            if not self._may_be_old(method, error):
                raise
            result = await self._call(method, params, old=True)
            _old.add(self._url)
            return result

    async def _call(self, method: str, params: dict[str, Any], *, old: bool) -> Any:
        request, headers = self._asked(method, params, 1, old=old)
        with _agent_errors(self._url):
            response = await self._http.post(self._url, json=request, headers=headers)
            given = _result(response.status_code, response.content, self._url)
        try:
            result = msgspec.json.decode(given)
            return peer03.result_from_03(method, result) if old else result
        except (*NOT_JSON, KeyError, TypeError, AttributeError) as error:
            raise AgentError(f"{self._url} answered {method} with something that is no result: {error!r}.") from None

    def _may_be_old(self, method: str, error: AgentError) -> bool:
        """Whether an agent refused a method that every agent of 1.0 has, as one of 0.3 would."""
        return error.code in _UNKNOWN_METHOD and method in _CORE and self._url not in _old

    def _asked(
        self, method: str, params: dict[str, Any], rpc_id: str | int, *, old: bool
    ) -> tuple[dict[str, Any], dict[str, str]]:
        if not old:
            return _request(method, params, rpc_id), self._headers
        headers = {**self._headers, "A2A-Version": "0.3"}
        return _request(peer03.method_to_03(method), peer03.params_to_03(params), rpc_id), headers

    async def stream(
        self, method: str, params: dict[str, Any], *, rpc_id: str = "1", last_event_id: int | None = None
    ) -> AsyncIterator[list[Incoming]]:
        """The events of a streaming method, in groups as they arrive.

        A stream that ends without a terminal or waiting state was cut; the caller may come back with
        `SubscribeToTask` and `last_event_id`.

        Raises:
            AgentError: the agent could not be reached, refused, or broke off.
        """
        try:
            async for group in self._stream(method, params, rpc_id, last_event_id, old=self._url in _old):
                yield group
        except AgentError as error:
            if not self._may_be_old(method, error):
                raise
            async for group in self._stream(method, params, rpc_id, last_event_id, old=True):
                _old.add(self._url)
                yield group

    async def _stream(
        self, method: str, params: dict[str, Any], rpc_id: str, last_event_id: int | None, *, old: bool
    ) -> AsyncIterator[list[Incoming]]:
        request, headers = self._asked(method, params, rpc_id, old=old)
        headers = {**headers, "Accept": sse.MEDIA_TYPE}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        with _agent_errors(self._url):
            async with self._http.stream("POST", self._url, json=request, headers=headers) as response:
                if not response.headers.get("content-type", "").startswith(sse.MEDIA_TYPE):
                    _result(response.status_code, await response.aread(), self._url)
                    raise AgentError(f"{self._url} answered {method} with something that is no stream.")
                # Other agents' `id:`s may be anything: random, or counted per connection.
                numbered = EXTENSION in response.headers.get("a2a-extensions", "")
                envelope, parser = sse.Envelope(rpc_id), sse.Parser()
                async for chunk in response.aiter_bytes():
                    messages = parser.feed(chunk)
                    if numbered:
                        group = [Incoming(_seq(each.id), _event(each, envelope, self._url)) for each in messages]
                    else:
                        group = [Incoming(None, _foreign(each, envelope, self._url)) for each in messages]
                    if group:
                        yield group


async def discover(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """The card of the agent at `url`: its base URL, or that of the card itself.

    Raises:
        AgentError: there is no card there.
    """
    place = url if urlsplit(url).path.endswith(".json") else f"{url.rstrip('/')}/{CARD_PATH}"
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
    """The URL where a card's agent speaks JSON-RPC: in 1.0 if it does, else in 0.3.

    Raises:
        AgentError: the card names none.
    """
    for interface in card.get("supportedInterfaces") or []:
        match interface:
            case {"protocolBinding": "JSONRPC", "protocolVersion": str(version), "url": str(place)}:
                if version.startswith("1."):
                    return place
    match card:
        case {"url": str(place)} if card.get("preferredTransport", "JSONRPC") == "JSONRPC":
            return place
    for interface in card.get("additionalInterfaces") or []:
        match interface:
            case {"transport": "JSONRPC", "url": str(place)}:
                return place
    raise AgentError(f"The agent {shorten(card['name'])!r} at {url} offers no JSON-RPC interface of A2A 1.0 or 0.3.")


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


def _foreign(message: sse.Message, envelope: sse.Envelope, url: str) -> bytes:
    """An event of an agent that knows nothing of our extension. What has a `kind` has the shape of 0.3."""
    event = _event(message, envelope, url)
    if b'"kind":' not in event:
        return event
    try:
        decoded = msgspec.json.decode(event)
        return msgspec.json.encode(peer03.event_from_03(decoded)) if "kind" in decoded else event
    except (*NOT_JSON, KeyError, TypeError, AttributeError) as error:
        raise AgentError(f"{url} sent something that is no event of A2A: {error!r}.") from None


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
