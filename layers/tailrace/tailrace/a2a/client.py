"""The A2A client: ask an agent, follow its streams, come back with a cursor (specification, section 9).

Speaks 1.0. An agent that does not know 1.0's methods is asked in 0.3 instead, from then on. Events are given as the
bytes that came, so that whoever passes them on need not decode them; `incoming` decodes them, of either version.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx
import msgspec

from tailrace.a2a.compat.v0_3 import client as v0_3_client
from tailrace.a2a.incoming import Event, Task, decoded, event_in, task_in
from tailrace.a2a.peer import MAX_ANSWER_BYTES, Peer, body_of, unpacked
from tailrace.a2a.received import MOST_BYTES, TooMuch
from tailrace.a2a.transport import Transport
from tailrace.aws import FunctionUrlAuth
from tailrace.config import Settings
from tailrace.decoding import NOT_JSON
from tailrace.errors import AgentError, shorten
from tailrace.events import EXTENSION, encode
from tailrace.owner import OWNER_HEADER
from tailrace.stream import sse

# An agent's stream is silent for as long as its work is, but for heartbeats.
_SILENCE_S = 60.0
# How long an answer that is no stream may take as a whole.
_ANSWER_S = 120.0
# How long another agent's stream is left alone after a piece that ends no event. Pieces may be as small as a byte.
_PIECE_S = 0.001
# What is kept of an error's message.
_LONGEST_ERROR = 500
# An answer with one of these says that the request was not taken up: it was one too many, or nobody was there.
_NOT_TAKEN_UP = (429, 502, 503)
# With one of these or of those, another try may go well. Any other answer would be the same again.
_FAILED_NOW = (*_NOT_TAKEN_UP, 500, 504)

# The URLs of agents that have turned out to speak 0.3.
_old: set[str] = set()
# What an agent answers to a method it does not know, and which every agent of 1.0 knows.
_UNKNOWN_METHOD = (-32601, -32600)
_CORE = ("SendMessage", "SendStreamingMessage", "GetTask", "CancelTask")


class RawEvent(msgspec.Struct, frozen=True):
    """One event of a stream: its seq (None from an agent without our extension) and its JSON, not checked."""

    seq: int | None
    event: bytes


class _Error(msgspec.Struct):
    code: int | None = None
    message: str = "an error without a message"


class _Reply(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


_decode_reply = msgspec.json.Decoder(_Reply).decode


def new_http() -> httpx.AsyncClient:
    """An HTTP client fit for calls and long streams to many agents; it signs what goes to a Function URL."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(10.0, read=_SILENCE_S), transport=Transport(), auth=FunctionUrlAuth()
    )


class AgentClient:
    """The agent at `url`, asked on behalf of `owner`. Only our own agents are told that, and the secret of the run.

    `own` is whether it is one of our own agents, and `idempotent` whether a message may be sent to it twice: it is our
    own, or speaks our extension (docs/PROTOCOL.md, 5.8a).
    """

    def __init__(self, http: httpx.AsyncClient, url: str, *, owner: str, settings: Settings) -> None:
        self.url = url
        self._peer = Peer(http, url, settings)
        self._streamed = 0
        self.own = self.idempotent = self._peer.own
        self._headers = {"A2A-Version": "1.0", "A2A-Extensions": EXTENSION, "Content-Type": "application/json"}
        if self.own:
            self._headers[OWNER_HEADER] = owner
            if settings.run_secret:
                self._headers["Authorization"] = f"Bearer {settings.run_secret}"

    async def call(self, method: str, params: dict[str, Any], *, wait_s: float = _ANSWER_S) -> Any:
        """The result of a method that answers once, within `wait_s`: JSON, not checked.

        Raises:
            AgentError: the agent could not be reached, or answered with an error (its code is kept).
        """
        try:
            return await self._call(method, params, wait_s, old=self.url in _old)
        except AgentError as error:
            if not self._may_be_old(method, error):
                raise
            result = await self._call(method, params, wait_s, old=True)
            _old.add(self.url)
            return result

    async def send(self, message: dict[str, Any], *, wait_s: float) -> Event:
        """What the agent answers a message with: a task or a message. Raises as `call` does.

        The agent need not wait until the task is done; one that does so anyway has `wait_s` for it.
        """
        params = {"message": message, "configuration": {"returnImmediately": True}}
        return event_in(await self.call("SendMessage", params, wait_s=wait_s), self.url)

    async def task(self, task_id: str) -> Task:
        """The agent's task. Raises as `call` does."""
        return task_in(await self.call("GetTask", {"id": task_id, "historyLength": 1}), self.url)

    async def _call(self, method: str, params: dict[str, Any], wait_s: float, *, old: bool) -> Any:
        body, headers = self._asked(method, params, 1, old=old)
        status = 0
        try:
            async with asyncio.timeout(wait_s):
                async with self._peer.ask("POST", headers, body, silence_s=wait_s) as response:
                    status = response.status_code
                    given = _result(status, await body_of(response, MAX_ANSWER_BYTES, self.url), self.url)
        except TimeoutError:
            raise AgentError(f"{self.url} did not answer {method} within {wait_s:g} s.", arrived=True) from None
        except AgentError as error:
            error.arrived = error.arrived or _has_arrived(status)
            raise
        result = decoded(given, self.url)
        return v0_3_client.result_from_v0_3(method, result) if old else result

    def _may_be_old(self, method: str, error: AgentError) -> bool:
        """Whether an agent refused a method that every agent of 1.0 has, as one of 0.3 would."""
        return error.code in _UNKNOWN_METHOD and method in _CORE and self.url not in _old

    def _asked(
        self, method: str, params: dict[str, Any], rpc_id: str | int, *, old: bool
    ) -> tuple[bytes, dict[str, str]]:
        if not old:
            return _request(method, params, rpc_id), self._headers
        headers = {**self._headers, "A2A-Version": "0.3"}
        return _request(v0_3_client.method_to_v0_3(method), v0_3_client.params_to_v0_3(params), rpc_id), headers

    async def stream(
        self, method: str, params: dict[str, Any], *, rpc_id: str = "1", last_event_id: int | None = None
    ) -> AsyncGenerator[list[RawEvent]]:
        """The events of a streaming method, in groups as they arrive.

        A stream that ends without a terminal or waiting state was cut; the caller may come back with
        `SubscribeToTask` and `last_event_id`.

        Raises:
            AgentError: the agent could not be reached, refused, or broke off.
        """
        try:
            async with aclosing(self._stream(method, params, rpc_id, last_event_id, old=self.url in _old)) as stream:
                async for group in stream:
                    yield group
        except AgentError as error:
            if not self._may_be_old(method, error):
                raise
            async with aclosing(self._stream(method, params, rpc_id, last_event_id, old=True)) as stream:
                async for group in stream:
                    _old.add(self.url)
                    yield group

    async def _stream(
        self, method: str, params: dict[str, Any], rpc_id: str, last_event_id: int | None, *, old: bool
    ) -> AsyncGenerator[list[RawEvent]]:
        body, headers = self._asked(method, params, rpc_id, old=old)
        headers = {**headers, "Accept": sse.MEDIA_TYPE}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        status = 0
        try:
            async with self._peer.ask("POST", headers, body) as response:
                status = response.status_code
                if not response.headers.get("content-type", "").lower().startswith(sse.MEDIA_TYPE):
                    refused = await body_of(response, MAX_ANSWER_BYTES, self.url)
                    _result(status, refused, self.url)
                    raise AgentError(f"{self.url} answered {method} with something that is no stream.", malformed=True)
                # Other agents' `id:`s may be anything: random, or counted per connection.
                numbered = EXTENSION in response.headers.get("a2a-extensions", "")
                self.idempotent = self.idempotent or numbered
                envelope, parser = sse.Envelope(rpc_id), sse.Parser()
                downloaded = 0
                async for chunk in unpacked(response, self.url):
                    self._streamed += max(len(chunk), response.num_bytes_downloaded - downloaded)
                    downloaded = response.num_bytes_downloaded
                    if not self.own and self._streamed > MOST_BYTES:
                        raise TooMuch(f"it streamed more than {MOST_BYTES:,} bytes, and was given up")
                    if group := [
                        RawEvent(_seq(each.id) if numbered else None, _event(each, envelope, self.url))
                        for each in parser.feed(chunk)
                    ]:
                        yield group
                    elif not self.own:
                        await asyncio.sleep(_PIECE_S)
        except AgentError as error:
            error.arrived = error.arrived or _has_arrived(status)
            raise


def _request(method: str, params: dict[str, Any], rpc_id: str | int) -> bytes:
    return encode({"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": params})


def _result(status: int, body: bytes, url: str) -> bytes:
    try:
        reply = _decode_reply(body)
    except NOT_JSON:
        raise AgentError(
            f"{url} answered {status} with something that is no JSON-RPC.", malformed=status not in _FAILED_NOW
        ) from None
    if reply.error is not None:
        raise AgentError(shorten(reply.error.message, _LONGEST_ERROR), code=reply.error.code)
    if not bytes(reply.result):
        raise AgentError(f"{url} answered {status} without a result.", malformed=status not in _FAILED_NOW)
    return bytes(reply.result)


def _has_arrived(status: int) -> bool:
    """Whether an answer with this HTTP status, 0 for none, shows that the request has arrived."""
    return status != 0 and status not in _NOT_TAKEN_UP


def _event(message: sse.ServerSentEvent, envelope: sse.Envelope, url: str) -> bytes:
    event = envelope.open(message.data)
    return _result(200, message.data, url) if event is None else event


def _seq(given: str) -> int | None:
    return int(given) or None if given.isascii() and given.isdigit() and len(given) <= 15 else None
