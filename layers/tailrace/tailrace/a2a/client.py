"""The A2A client: ask an agent, follow its streams, come back with a cursor (specification, section 9).

It speaks 1.0. An agent that does not know 1.0's methods is asked in 0.3 from then on. Events stay the bytes that
came, because most are only forwarded; `incoming` decodes them, of either version.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from tailrace.a2a.compat.v0_3 import client as v0_3
from tailrace.a2a.incoming import Event, Task, decoded, event_in, task_in
from tailrace.a2a.peer import MAX_ANSWER_BYTES, NO_ROOM, Peer, body_of, refusal_in, retry_after_of, unpacked
from tailrace.a2a.received import MAX_BYTES, TooMuch
from tailrace.a2a.transport import Transport
from tailrace.a2a.types import Version
from tailrace.aws import FunctionUrlAuth
from tailrace.config import Settings
from tailrace.decoding import NOT_JSON
from tailrace.errors import AgentError, EventBroken, shorten
from tailrace.events import EXTENSION, Message, encode
from tailrace.network.cookies import no_cookies
from tailrace.owner import OWNER_HEADER
from tailrace.stream import sse
from tailrace.tracing.context import headers as trace_headers
from tailrace.tracing.spans import request

if TYPE_CHECKING:
    from opentelemetry.trace import Span

# How long a response may be silent. Our own agents send heartbeats more often than that.
_SILENCE_S = 60.0
# The time limit for a whole answer that is not a stream.
_ANSWER_S = 120.0
# Pause after a piece of another agent's stream that completes no event. Pieces may be as small as a byte.
_PIECE_S = 0.001
# Maximum length of another agent's error message.
_MAX_ERROR_CHARS = 500
# Statuses that say that the request has not reached the agent: there were too many requests, or no agent was running.
_NOT_ARRIVED = (*NO_ROOM, 502)
# Statuses after which another try may succeed. After any other the answer would be the same.
_TRANSIENT = (*_NOT_ARRIVED, 500, 504)
# What an agent answers to a method that it does not know, and the methods that every agent of 1.0 knows.
_UNKNOWN_METHOD = (-32601, -32600)
_CORE_METHODS = ("SendMessage", "SendStreamingMessage", "GetTask", "CancelTask")

# RFC 7240, section 4.2: nobody reads the answer, so an agent of ours need not read the task's log for it. What stands
# before another agent may answer 204 to it, without a result.
MINIMAL = {"prefer": "return=minimal"}

# The URLs of the agents that have turned out to speak 0.3 only.
v0_3_urls: set[str] = set()


class RawEvent(msgspec.Struct, frozen=True):
    """One event of a stream, not checked: its seq (None from an agent without our extension) and its JSON."""

    seq: int | None
    json: bytes


class _Error(msgspec.Struct):
    code: int | None = None
    message: str = "an error without a message"


class _Reply(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


_decode_reply = msgspec.json.Decoder(_Reply).decode


def new_http() -> httpx.AsyncClient:
    """An HTTP client for calls and long streams to many agents. It signs requests to Lambda Function URLs."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(10.0, read=_SILENCE_S),
        transport=Transport(),
        auth=FunctionUrlAuth(),
        cookies=no_cookies(),
    )


class AgentClient:
    """The agent at `url`, asked on behalf of `owner`. Only our own agents learn the owner and the run secret.

    `own` says whether it is one of our own agents. `idempotent` says whether it may get a message twice: because it is
    our own, or speaks our extension (docs/PROTOCOL.md, 5.8a).
    """

    def __init__(self, http: httpx.AsyncClient, url: str, *, owner: str, settings: Settings) -> None:
        self.url = url
        self._peer = Peer(http, url, settings)
        self._streamed_bytes = 0
        self.own = self.idempotent = self._peer.own
        self._headers = {"A2A-Extensions": EXTENSION, "Content-Type": "application/json"}
        if self.own:
            self._headers[OWNER_HEADER] = owner
            if settings.run_secret:
                self._headers["Authorization"] = f"Bearer {settings.run_secret}"

    async def send(self, message: Message, *, wait_s: float = _ANSWER_S) -> Event:
        """Send a message: the task, without its history, or the message that the agent answers with.

        The agent need not wait until the task is done. One that waits nevertheless has `wait_s` for it.

        Raises:
            AgentError: as `call` does.
        """
        return event_in(await self.call("SendMessage", _sending(message), wait_s=wait_s), self.url)

    async def task(self, task_id: str) -> Task:
        """The agent's task, with its artifacts.

        Raises:
            AgentError: as `call` does.
        """
        return task_in(await self.call("GetTask", {"id": task_id, "historyLength": 1}), self.url)

    async def reply(self, message: Message) -> None:
        """Send a message to a task that waits. What becomes of it, the task's events say.

        Raises:
            AgentError: as `call` does.
        """
        await self.call("SendMessage", _sending(message), minimal=True)

    async def visit(self, task_id: str) -> None:
        """Make the agent look at its task: it runs the task if nobody does.

        Raises:
            AgentError: as `call` does.
        """
        await self.call("GetTask", {"id": task_id}, minimal=True)

    async def cancel(self, task_id: str, *, wait_s: float = _ANSWER_S) -> None:
        """Cancel the agent's task.

        Raises:
            AgentError: as `call` does.
        """
        await self.call("CancelTask", {"id": task_id}, wait_s=wait_s, minimal=True)

    def send_streaming(self, message: Message, cursor: int | None = None) -> AsyncGenerator[list[RawEvent]]:
        """Send a message, and stream what the agent does with it, from after `cursor`. Raises as `stream` does."""
        return self.stream("SendStreamingMessage", {"message": message}, cursor=cursor)

    def subscribe(self, task_id: str, cursor: int | None, *, rpc_id: str = "1") -> AsyncGenerator[list[RawEvent]]:
        """Stream the agent's task from after `cursor`, or from its snapshot. Raises as `stream` does."""
        return self.stream("SubscribeToTask", {"id": task_id}, rpc_id=rpc_id, cursor=cursor)

    async def call(
        self, method: str, params: dict[str, Any], *, wait_s: float = _ANSWER_S, minimal: bool = False
    ) -> Any:
        """The result of a method that answers once, within `wait_s` seconds: decoded JSON, not checked.

        `minimal` says that nobody reads it. Only our own agents are told.

        Raises:
            AgentError: the agent could not be reached, or answered with an error, whose code is kept.
        """
        try:
            return await self._call(method, params, wait_s, self._version, minimal=minimal)
        except AgentError as error:
            if not self._may_speak_v0_3(method, error):
                raise
            result = await self._call(method, params, wait_s, "0.3", minimal=minimal)
            v0_3_urls.add(self.url)
            return result

    async def stream(
        self, method: str, params: dict[str, Any], *, rpc_id: str = "1", cursor: int | None = None
    ) -> AsyncGenerator[list[RawEvent]]:
        """The events of a streaming method, in groups as they arrive.

        A stream that ends without a terminal or waiting state was cut. The caller may come back with `subscribe` and
        the seq of the last event that came.

        Raises:
            AgentError: the agent could not be reached, refused, or broke off.
        """
        version, status = self._version, 0
        while True:
            try:
                with request(method, self.url, version, params.get("id")) as span:
                    body, headers = self._request(method, params, rpc_id, version, span)
                    headers["Accept"] = sse.MEDIA_TYPE
                    if cursor is not None:
                        headers["Last-Event-ID"] = str(cursor)
                    async with self._peer.ask("POST", headers, body) as response:
                        status = response.status_code
                        await self._check_streams(response, method)
                        arriving = self._arriving(response, sse.Envelope(rpc_id))
                        async for chunk in unpacked(response, self.url):
                            group, broken = arriving(chunk)
                            if group:
                                if version == "0.3":
                                    v0_3_urls.add(self.url)
                                yield group
                            if broken is not None:
                                raise broken
                            if not group and not self.own:
                                await asyncio.sleep(_PIECE_S)
                return
            except AgentError as error:
                error.arrived = error.arrived or _has_arrived(status)
                if version == "0.3" or not self._may_speak_v0_3(method, error):
                    raise
            version, status = "0.3", 0

    @property
    def _version(self) -> Version:
        return "0.3" if self.url in v0_3_urls else "1.0"

    def _may_speak_v0_3(self, method: str, error: AgentError) -> bool:
        """Whether an agent refused a method that every agent of 1.0 has, as one of 0.3 would."""
        return error.code in _UNKNOWN_METHOD and method in _CORE_METHODS and self.url not in v0_3_urls

    def _request(
        self, method: str, params: dict[str, Any], rpc_id: str | int, version: Version, span: Span | None
    ) -> tuple[bytes, dict[str, str]]:
        """The body and the headers of a request, which belongs to the span; None is the current one."""
        if version == "0.3":
            method, params = v0_3.method_to_v0_3(method), v0_3.params_to_v0_3(params)
        body = encode({"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": params})
        return body, {**self._headers, "A2A-Version": version, **trace_headers(span)}

    async def _call(
        self, method: str, params: dict[str, Any], wait_s: float, version: Version, *, minimal: bool
    ) -> Any:
        status = 0
        with request(method, self.url, version, params.get("id")) as span:
            body, headers = self._request(method, params, 1, version, span)
            headers.update(MINIMAL if minimal and self.own else {})
            try:
                async with asyncio.timeout(wait_s):
                    async with self._peer.ask("POST", headers, body, silence_s=wait_s) as response:
                        status = response.status_code
                        answer = await self._answer(response)
            except TimeoutError:
                raise AgentError(f"{self.url} did not answer {method} within {wait_s:g} s.", arrived=True) from None
            except AgentError as error:
                error.arrived = error.arrived or _has_arrived(status)
                raise
        result = decoded(answer, self.url)
        return v0_3.result_from_v0_3(method, result) if version == "0.3" else result

    async def _check_streams(self, response: httpx.Response, method: str) -> None:
        """Raise what an agent answers in place of a stream."""
        if not response.headers.get("content-type", "").lower().startswith(sse.MEDIA_TYPE):
            await self._answer(response)
            raise AgentError(f"{self.url} answered {method} with something that is not a stream.", malformed=True)

    async def _answer(self, response: httpx.Response) -> bytes:
        """The result in a response that is no stream, as JSON. Raises as `_result` does."""
        body = await body_of(response, MAX_ANSWER_BYTES, self.url)
        try:
            return _result(response.status_code, body, self.url)
        except AgentError as error:
            if error.code is None and (refusal := refusal_in(response, body, self.url, own=self.own)):
                raise refusal from None
            error.retry_after_s = retry_after_of(response)
            raise

    def _arriving(
        self, response: httpx.Response, envelope: sse.Envelope
    ) -> Callable[[bytes], tuple[list[RawEvent], AgentError | None]]:
        """A function that takes each piece of a streamed response: the events that it completes, and what breaks it."""
        # Other agents' `id:`s may be anything: random, or counted per connection.
        has_seqs = EXTENSION in response.headers.get("a2a-extensions", "")
        self.idempotent = self.idempotent or has_seqs
        parser, downloaded = sse.Parser(), 0

        def arriving(chunk: bytes) -> tuple[list[RawEvent], AgentError | None]:
            nonlocal downloaded
            self._streamed_bytes += max(len(chunk), response.num_bytes_downloaded - downloaded)
            downloaded = response.num_bytes_downloaded
            if not self.own and self._streamed_bytes > MAX_BYTES:
                raise TooMuch(f"it streamed more than {MAX_BYTES:,} bytes, and was given up")
            group: list[RawEvent] = []
            try:
                for event in parser.feed(chunk):
                    seq = seq_in(event.id) if has_seqs else None
                    group.append(RawEvent(seq, result_in(event, envelope, self.url, seq)))
            except AgentError as error:
                return group, error
            return group, None

        return arriving


def _sending(message: Message) -> dict[str, Any]:
    """The params of a SendMessage whose answer does not wait for the task."""
    return {"message": message, "configuration": {"returnImmediately": True, "historyLength": 0}}


def _result(status: int, body: bytes, url: str) -> bytes:
    """The result in a JSON-RPC response, as JSON.

    Raises:
        AgentError: there is an error in its place, or nothing.
    """
    try:
        reply = _decode_reply(body)
    except NOT_JSON:
        raise AgentError(
            f"{url} answered {status} with something that is not JSON-RPC.", malformed=status not in _TRANSIENT
        ) from None
    if reply.error is not None:
        raise AgentError(shorten(reply.error.message, _MAX_ERROR_CHARS), code=reply.error.code)
    if not bytes(reply.result):
        raise AgentError(f"{url} answered {status} without a result.", malformed=status not in _TRANSIENT)
    return bytes(reply.result)


def _has_arrived(status: int) -> bool:
    """Whether an answer with this HTTP status, 0 for none, shows that the request has arrived."""
    return status != 0 and status not in _NOT_ARRIVED


def result_in(event: sse.ServerSentEvent, envelope: sse.Envelope, url: str, seq: int | None) -> bytes:
    """The result in one event of a stream. Our own agents' envelopes are cut off without decoding them.

    Raises:
        EventBroken: it cannot be read, and has a seq.
        AgentError: there is an error in its place, or it cannot be read.
    """
    result = envelope.open(event.data)
    if result is not None:
        return result
    try:
        return _result(200, event.data, url)
    except AgentError as error:
        if seq is None or not error.malformed:
            raise
        raise EventBroken(str(error), seq) from None


def seq_in(text: str) -> int | None:
    """The seq in an `id:`; None if it is none."""
    return int(text) or None if text.isascii() and text.isdigit() and len(text) <= 15 else None
