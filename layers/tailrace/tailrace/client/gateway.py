"""A gateway as a client's server: `/api/*` (docs/PROTOCOL.md, section 6)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, TypeVar
from urllib.parse import quote, urljoin

import httpx
import msgspec

from tailrace.a2a import incoming
from tailrace.a2a.client import RawEvent, result_in, seq_in
from tailrace.client.backoff import Backoff, OnCut
from tailrace.client.errors import client_errors, refused_401, unreachable
from tailrace.client.event import Broken, Event, numbered_event
from tailrace.client.files import OnProgress, PackedFile
from tailrace.client.http import FINAL, OPENING_S, Bearer, whole
from tailrace.client.resuming import Item, resumed
from tailrace.client.task import Agent, Task
from tailrace.decoding import NOT_JSON
from tailrace.errors import AgentError, EventBroken, ServerRefused, ServerUnreachable, shorten
from tailrace.events import Message, Part, State, as_base, encode
from tailrace.stream import sse
from tailrace.stream.quiet import Pause
from tailrace.stream.reader import End, Gap, Synced

T = TypeVar("T")

# Bytes of files in one message, before base64. Larger ones are uploaded: a body has at most 1 MiB.
_ROOM_BYTES = 700_000
# How much of an answer that cannot be read an error shows.
_SHOWN = 200
_PAGE = 50


class _Problem(msgspec.Struct):
    """RFC 9457."""

    title: str = ""
    detail: str = ""


class _Created(msgspec.Struct, rename="camel"):
    id: str
    context_id: str


class _Page(msgspec.Struct, rename="camel"):
    tasks: list[Any]
    next_page_token: str = ""


class _Agents(msgspec.Struct):
    agents: list[dict[str, Any]]


class _Grant(msgspec.Struct):
    method: str
    url: str
    headers: dict[str, str] = {}


class _Granted(msgspec.Struct):
    upload: _Grant
    part: Part


class _Control(msgspec.Struct, rename={"first": "from", "last": "to"}):
    """The data of a control frame (docs/PROTOCOL.md, sections 6.4 to 6.8)."""

    seq: int = 0
    first: int = 0
    last: int = 0
    ms: int = 0
    state: State = "TASK_STATE_WORKING"


class GatewayServer:
    """The gateway at `url`."""

    def __init__(self, http: httpx.AsyncClient, url: str, *, patience_s: float, on_cut: OnCut | None) -> None:
        self.url = url
        self._http = http
        # Another auth signs requests, and would read a whole file for it.
        self._auth = http.auth if isinstance(http.auth, Bearer) else None
        self._patience_s = patience_s
        self._on_cut = on_cut

    async def begin(self, message: Message, agent: str | None) -> Task:
        """Begin a task with the message. The same message begins it once, however often it is sent."""
        body: dict[str, Any] = {"message": _as_sent(message)}
        if agent:
            body["agent"] = agent
        created = await self._call("POST", "/api/tasks", _Created, body, key=message.message_id)
        status = incoming.Status(state="TASK_STATE_SUBMITTED")
        return Task(id=created.id, context_id=created.context_id, status=status)

    async def reply(self, task_id: str, message: Message) -> None:
        """Answer what the task asks."""
        body = {"message": _as_sent(message)}
        await self._call("POST", f"{_path(task_id)}/messages", dict, body, key=message.message_id)

    async def cancel(self, task_id: str) -> None:
        """Cancel the task."""
        await self._call("POST", f"{_path(task_id)}/cancel", dict, {})

    async def task(self, task_id: str) -> Task:
        """The task as it is now."""
        answer = await self._call("GET", _path(task_id), dict)
        with client_errors():
            return Task.of(incoming.task_in(answer, self.url))

    async def tasks(self) -> AsyncGenerator[Task]:
        """The caller's tasks, newest first, without their artifacts."""
        token = ""
        while True:
            page = await self._call("GET", f"/api/tasks?pageSize={_PAGE}&pageToken={quote(token, safe='')}", _Page)
            with client_errors():
                tasks = [Task.of(incoming.task_in(each, self.url)) for each in page.tasks]
            for task in tasks:
                yield task
            if not (token := page.next_page_token):
                return

    async def agents(self) -> list[Agent]:
        """The agents behind the gateway, the default one first."""
        listed = await self._call("GET", "/api/agents", _Agents)
        with client_errors():
            return [
                Agent(name=str(each.get("name", "")), error=str(each["error"]))
                if "error" in each
                else Agent.of(incoming.card_in(each, self.url))
                for each in listed.agents
            ]

    async def modes(self, agent: str | None) -> list[str]:
        """The media types that the agent takes; none if it does not say."""
        agents = await self.agents()
        chosen = next((each for each in agents if each.name == agent), agents[0] if agents and not agent else None)
        return chosen.input_modes if chosen is not None else []

    async def parts(self, files: list[PackedFile], on_progress: OnProgress | None) -> list[Part]:
        """The parts for the files. What does not fit into a message is uploaded, the largest first."""
        room = _ROOM_BYTES
        parts: dict[int, Part] = {}
        for number, file in sorted(enumerate(files), key=lambda each: each[1].size):
            if file.size <= room:
                room -= file.size
                parts[number] = await asyncio.to_thread(file.part)
                if on_progress is not None:
                    on_progress(file.filename, file.size, file.size)
            else:
                parts[number] = await self._upload(file, on_progress)
        return [part for _, part in sorted(parts.items())]

    async def follow(self, task_id: str, cursor: int) -> AsyncGenerator[Event]:
        """The task's events after `cursor`, until it is finished or waits for its user."""
        backoff = Backoff(self._patience_s, self._on_cut)
        events = resumed(lambda at: self._open(task_id, at), cursor, backoff)
        async with aclosing(events):
            async for event in events:
                yield event

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _open(self, task_id: str, cursor: int) -> AsyncGenerator[Item]:
        headers = {"Accept": sse.MEDIA_TYPE, **({"Last-Event-ID": str(cursor)} if cursor else {})}
        request = self._http.build_request("GET", f"{self.url}/api/stream/{_segment(task_id)}", headers=headers)
        try:
            async with asyncio.timeout(OPENING_S):
                response = await self._http.send(request, stream=True)
        except (TimeoutError, httpx.TransportError) as error:
            raise unreachable(self.url, error) from None
        try:
            if response.status_code == 204:
                yield End("TASK_STATE_COMPLETED", cursor)
                return
            is_stream = response.headers.get("content-type", "").startswith(sse.MEDIA_TYPE)
            if response.status_code != 200 or not is_stream:
                raise self._refusal(response, await whole(response, self.url))
            parser, envelope = sse.Parser(), sse.Envelope(task_id)
            async for chunk in response.aiter_bytes():
                for frame in parser.feed(chunk):
                    if (item := self._item(frame, envelope)) is not None:
                        yield item
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from None
        except AgentError as error:
            raise ServerUnreachable(f"The stream cannot be read on: {error}") from None
        finally:
            await response.aclose()

    def _item(self, frame: sse.ServerSentEvent, envelope: sse.Envelope) -> Item | None:
        """What a frame of the stream says; None if that is nothing for a reader.

        Raises:
            AgentError: it cannot be read.
        """
        if not frame.name:
            if (seq := seq_in(frame.id)) is None:
                return None
            try:
                return numbered_event(RawEvent(seq, result_in(frame, envelope, self.url, seq)), self.url)
            except EventBroken as error:
                return Broken(seq, str(error))
        if frame.name not in ("sync", "gap", "pause", "end"):
            return None
        try:
            control = msgspec.json.decode(frame.data, type=_Control)
        except NOT_JSON:
            raise AgentError(f"{self.url} sent a frame {frame.name!r} that cannot be read.", malformed=True) from None
        if frame.name == "sync":
            return Synced(control.seq)
        if frame.name == "gap":
            return Gap(control.first, control.last)
        return Pause(control.ms) if frame.name == "pause" else End(control.state, control.seq)

    async def _upload(self, file: PackedFile, on_progress: OnProgress | None) -> Part:
        about = {
            "filename": file.filename,
            "mediaType": file.media_type,
            "size": file.size,
            "sha256": file.sha256,
        }
        granted = await self._call("POST", "/api/uploads", _Granted, about)
        target, backoff = granted.upload, Backoff(self._patience_s, self._on_cut)
        url = urljoin(f"{self.url}/", target.url)
        while True:
            request = self._http.build_request(
                target.method,
                url,
                content=_counted(file, on_progress),
                headers={"Content-Length": str(file.size), **target.headers},
            )
            try:
                response, answer = await self._answer(request, self._auth)
            except httpx.TransportError as error:
                await backoff.wait(unreachable(url, error))
                continue
            if response.is_success:
                return granted.part
            refusal = self._refusal(response, answer)
            if response.status_code in FINAL:
                raise refusal
            await backoff.wait(refusal, refusal.retry_after_s or 0.0)

    async def _call(self, method: str, path: str, kind: type[T], body: Any = None, *, key: str = "") -> T:
        """An answer, as `kind`. The request is sent again while the gateway is away: each of them may be.

        Raises:
            ServerRefused: the gateway says no.
            ServerUnreachable: it was away for too long.
        """
        content = b"" if body is None else encode(body)
        # CloudFront needs the digest to sign the request to the gateway.
        digest = hashlib.sha256(content).hexdigest()
        headers = {"Content-Type": "application/json", "x-amz-content-sha256": digest} if body is not None else {}
        if key:
            headers["Idempotency-Key"] = key
        backoff = Backoff(self._patience_s, self._on_cut)
        while True:
            request = self._http.build_request(method, self.url + path, content=content, headers=headers)
            try:
                response, answer = await self._answer(request, self._http.auth)
            except httpx.TransportError as error:
                await backoff.wait(unreachable(self.url, error))
                continue
            if response.is_success:
                backoff.answered()
                return self._read(answer, kind)
            refusal = self._refusal(response, answer)
            if response.status_code in FINAL:
                raise refusal
            await backoff.wait(refusal, refusal.retry_after_s or 0.0)

    async def _answer(self, request: httpx.Request, auth: httpx.Auth | None) -> tuple[httpx.Response, bytes]:
        response = await self._http.send(request, auth=auth, stream=True)
        try:
            return response, await whole(response, self.url)
        finally:
            await response.aclose()

    def _read(self, answer: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=kind)
        except NOT_JSON as error:
            raise ServerRefused(f"{self.url} answered with something that is no gateway's answer: {error}.") from None

    def _refusal(self, response: httpx.Response, answer: bytes) -> ServerRefused:
        try:
            problem = msgspec.json.decode(answer, type=_Problem)
        except NOT_JSON:
            problem = _Problem()
        status = response.status_code
        words = (
            problem.detail
            or problem.title
            or shorten(answer[: 4 * _SHOWN].decode(errors="replace").strip(), _SHOWN)
            or "no reason was given"
        )
        if status == 401:
            return refused_401(self.url, words)
        wait = response.headers.get("retry-after", "")
        known = status in FINAL
        wait_s = None if known else float(wait) if wait.isascii() and wait.isdigit() and len(wait) <= 5 else 0.0
        return ServerRefused(f"{self.url} refuses ({status}): {words}", status=status, retry_after_s=wait_s)


def _as_sent(message: Message) -> dict[str, Any]:
    """The message as a browser sends it: the task's id is in the path."""
    sent: dict[str, Any] = msgspec.to_builtins(message, enc_hook=as_base)
    sent.pop("taskId", None)
    return sent


def _path(task_id: str) -> str:
    return f"/api/tasks/{_segment(task_id)}"


def _segment(task_id: str) -> str:
    return quote(task_id, safe="", errors="replace")


async def _counted(file: PackedFile, on_progress: OnProgress | None) -> AsyncIterator[bytes]:
    sent = 0
    for piece in file.pieces():
        yield piece
        sent += len(piece)
        if on_progress is not None:
            on_progress(file.filename, sent, file.size)
