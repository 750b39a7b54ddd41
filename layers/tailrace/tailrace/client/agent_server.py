"""An A2A agent as a client's server: ours, or anybody's.

An agent with our extension has numbered events, so its streams are resumed. Of any other a stream that was cut begins
again with a snapshot of the task, and what happened in between is not told (`tailrace.a2a.remote_task`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx
import msgspec

from tailrace.a2a import incoming
from tailrace.a2a.client import AgentClient, RawEvent
from tailrace.a2a.discovery import DiscoveredAgent, interface_of
from tailrace.a2a.remote_task import AgentEvent, RemoteTask, seq_of
from tailrace.client.backoff import Backoff, OnCut
from tailrace.client.errors import client_errors
from tailrace.client.event import SNAPSHOT, Broken, Event, event_of, numbered_event
from tailrace.client.files import OnProgress, PackedFile
from tailrace.client.resuming import Item, resumed
from tailrace.client.task import Agent, Task
from tailrace.config import Settings
from tailrace.errors import AgentError, EventBroken, ServerRefused, ServerUnreachable
from tailrace.events import EXTENSION, INTERRUPTED, TERMINAL, DelegatedTask, Message, Part, ends
from tailrace.stream.reader import End

# No agent is one of our own here: whom a client asks for, its token says.
STRANGERS = Settings(orchestrator_url="http://own.invalid/")
_PAGE = 50


class AgentServer:
    """The agent that was discovered at a URL."""

    def __init__(
        self, http: httpx.AsyncClient, agent: DiscoveredAgent, *, patience_s: float, on_cut: OnCut | None
    ) -> None:
        with client_errors():
            self.url = interface_of(agent, STRANGERS)
        self._card = agent.card
        self._http = http
        self._is_numbered = any(each.uri == EXTENSION for each in agent.card.capabilities.extensions)
        self._patience_s = patience_s
        self._on_cut = on_cut
        # The streams of tasks that were begun by them, of agents that cannot resume. The first event has been read.
        self._begun: dict[str, AsyncGenerator[Event]] = {}

    async def begin(self, message: Message, agent: str | None) -> Task:
        """Begin a task with the message."""
        if agent and agent != self._card.name:
            raise ServerRefused(f"{self.url} is the agent {self._card.name!r}; it has no agent {agent!r}.")
        if not self._is_numbered:
            return await self._begin_following(message)
        backoff = Backoff(self._patience_s, self._on_cut)
        while True:
            try:
                with client_errors():
                    event = await self._client.send(message)
                break
            except ServerUnreachable as error:
                await backoff.wait(error)
            except ServerRefused as error:
                if error.retry_after_s is None:
                    raise
                await backoff.wait(error, error.retry_after_s)
        backoff.answered()
        return Task.of(event.task) if event.task is not None else self._answered(event_of(None, event))

    async def reply(self, task_id: str, message: Message) -> None:
        """Answer what the task asks."""
        with client_errors():
            await self._client.send(msgspec.structs.replace(message, task_id=task_id))

    async def cancel(self, task_id: str) -> None:
        """Cancel the task."""
        with client_errors():
            await self._client.cancel(task_id)

    async def task(self, task_id: str) -> Task:
        """The task as it is now."""
        with client_errors():
            return Task.of(await self._client.task(task_id))

    async def tasks(self) -> AsyncGenerator[Task]:
        """The caller's tasks, as far as the agent lists them."""
        token = ""
        while True:
            with client_errors():
                page = await self._client.call("ListTasks", {"pageSize": _PAGE, "pageToken": token})
                listed = page.get("tasks", []) if isinstance(page, dict) else []
                tasks = [Task.of(incoming.task_in(each, self.url)) for each in listed]
            for task in tasks:
                yield task
            if not (token := str(page.get("nextPageToken") or "")):
                return

    async def agents(self) -> list[Agent]:
        """The agent itself."""
        return [Agent.of(self._card)]

    async def modes(self, agent: str | None) -> list[str]:
        """The media types that the agent takes; none if it does not say."""
        return self._card.default_input_modes

    async def parts(self, files: list[PackedFile], on_progress: OnProgress | None) -> list[Part]:
        """The parts for the files. A2A has no uploads, so they are in the message."""
        parts = []
        for file in files:
            parts.append(await asyncio.to_thread(file.part))
            if on_progress is not None:
                on_progress(file.filename, file.size, file.size)
        return parts

    async def follow(self, task_id: str, cursor: int) -> AsyncGenerator[Event]:
        """The task's events, until it is finished or waits for its user. An agent without numbers has no cursor."""
        if self._is_numbered:
            backoff = Backoff(self._patience_s, self._on_cut)
            async with aclosing(resumed(lambda at: self._open(task_id, at), cursor, backoff)) as items:
                async for item in items:
                    yield item
            return
        begun = self._begun.pop(task_id, None)
        following = begun or self._followed(
            RemoteTask(self._client, _NOTHING, DelegatedTask(self.url, task_id), streaming=self._streaming)
        )
        async with aclosing(following) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Close the streams that nobody reads."""
        for events in self._begun.values():
            await events.aclose()

    @property
    def _client(self) -> AgentClient:
        """A client for one call or one stream: it counts what the agent sends, and gives up one that never stops."""
        return AgentClient(self._http, self.url, owner="", settings=STRANGERS)

    @property
    def _streaming(self) -> bool | None:
        return self._card.capabilities.streaming

    async def _open(self, task_id: str, cursor: int) -> AsyncGenerator[Item]:
        with client_errors(cuts=True):
            if cursor and (end := await self._end_at(task_id, cursor)) is not None:
                yield end
                return
            try:
                async with aclosing(self._client.subscribe(task_id, cursor)) as groups:
                    async for group in groups:
                        for raw in group:
                            if raw.seq is None:
                                raise AgentError(f"{self.url} stopped numbering its events.", malformed=True)
                            yield numbered_event(raw, self.url)
                        if (end := await self._end_in(task_id, group[-1])) is not None:
                            yield end
                            return
            except EventBroken as error:
                yield Broken(error.seq, str(error))

    async def _end_in(self, task_id: str, newest: RawEvent) -> End | None:
        """The end if the stream has nothing after its newest event. A subscription stays open past a question."""
        state, seq = ends(newest.json), newest.seq or 0
        if state in TERMINAL:
            return End(state, seq)
        return await self._end_at(task_id, seq) if state in INTERRUPTED else None

    async def _end_at(self, task_id: str, cursor: int) -> End | None:
        """The end if the task is finished or waits, and a reader at the cursor has all of it."""
        task = await self._client.task(task_id)
        return End("TASK_STATE_COMPLETED", cursor) if task.ended and seq_of(task) <= cursor else None

    async def _begin_following(self, message: Message) -> Task:
        """Begin a task at an agent that cannot resume, and keep the stream that began it for whoever follows it."""
        remote = RemoteTask(self._client, message, streaming=self._streaming)
        events = self._followed(remote)
        try:
            first = await anext(events, None)
        except BaseException:
            await events.aclose()
            raise
        if first is None or remote.task_id is None:
            await events.aclose()
            return self._answered(first)
        self._begun[remote.task_id] = _with_first(first, events)
        context_id = first.task.context_id if first.task is not None else ""
        status = incoming.Status(state=first.state or "TASK_STATE_WORKING")
        return Task(id=remote.task_id, context_id=context_id, status=status)

    def _answered(self, answer: Event | None) -> Task:
        """What stands for a task when the agent has answered with a message alone."""
        message = incoming.Message(role="ROLE_AGENT", parts=answer.parts if answer is not None else [])
        task = Task(id="", status=incoming.Status(state="TASK_STATE_COMPLETED", message=message))
        if answer is not None:
            self._begun[""] = _with_first(answer, None)
        return task

    async def _followed(self, remote: RemoteTask) -> AsyncGenerator[Event]:
        """The events of a task at an agent without numbers, and at last the task if its stream did not tell it all."""
        state, told = "", False
        with client_errors():
            async with aclosing(remote.events()) as items:
                async for item in items:
                    event = _event_of(item, state)
                    state, told = event.state or state, event.ended or event.waits
                    yield event
        if remote.task is not None and remote.task.id and (remote.notes or not told):
            task = Task.of(remote.task)
            yield Event(kind=SNAPSHOT, state=task.state, task=task, questions=task.questions)


_NOTHING = Message(message_id="", role="ROLE_USER", parts=[])


def _event_of(item: AgentEvent, before: str) -> Event:
    return event_of(None, item.event, before=before)


async def _with_first(first: Event, events: AsyncGenerator[Event] | None) -> AsyncGenerator[Event]:
    yield first
    if events is not None:
        async with aclosing(events):
            async for event in events:
                yield event
