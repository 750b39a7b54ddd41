"""`AsyncClient`: tasks of agents, their events as they happen, replies, cancels and files."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Protocol, Self

import httpx
import msgspec

from tailrace.a2a.discovery import discover
from tailrace.client.agent_server import STRANGERS, AgentServer
from tailrace.client.backoff import OnCut
from tailrace.client.errors import client_errors, unreachable
from tailrace.client.event import Event
from tailrace.client.files import Files, OnProgress, PackedFile, packed
from tailrace.client.gateway import GatewayServer
from tailrace.client.http import new_http
from tailrace.client.place import Place, places
from tailrace.client.task import Agent, Task
from tailrace.errors import ClientError, NotJson, ServerUnreachable, TooDeep
from tailrace.events import Message, Part, plain

# How long a server may be away before it is given up, in seconds.
PATIENCE_S = 300.0
# How long a gateway may take to say that it is one, and how it does.
_ASKED_S = 10.0
_PROBLEM = "application/problem+json"
_GATEWAYS = ((200, "application/json"), *((status, _PROBLEM) for status in (401, 403, 429, 500, 503)))


class Server(Protocol):
    """What a client asks: a gateway or an agent."""

    url: str

    async def begin(self, message: Message, agent: str | None) -> Task: ...
    async def reply(self, task_id: str, message: Message) -> None: ...
    async def cancel(self, task_id: str) -> None: ...
    async def task(self, task_id: str) -> Task: ...
    def tasks(self) -> AsyncGenerator[Task]: ...
    async def agents(self) -> list[Agent]: ...
    async def modes(self, agent: str | None) -> list[str]: ...
    async def parts(self, files: list[PackedFile], on_progress: OnProgress | None) -> list[Part]: ...
    def follow(self, task_id: str, cursor: int) -> AsyncGenerator[Event]: ...
    async def close(self) -> None: ...


class AsyncClient:
    """A client of a Tailrace gateway, of one of its agents, or of any A2A agent.

    Use it as an async context manager. Each method asks the server again while that is away, if the server takes the
    same request twice as one, and raises:

    - `ServerRefused`: the server says no; its text says why, `status` and `code` are HTTP's and JSON-RPC's.
    - `ServerUnreachable`: the server did not answer at first, or was away for longer than `patience_s`.

    Args:
        url: of a gateway, of an agent, or of an agent's card. By default `TAILRACE_URL`, else the `make run` of this
            folder or one above it.
        token: a bearer token. By default `TAILRACE_TOKEN`, and for a `make run` of this machine's user its secret. It
            is sent to the URL's origin only.
        patience_s: how long the server may be away before it is given up, in seconds.
        on_cut: called with the reason when the server stops answering, and with None when it answers again.

    Example:
        async def main() -> None:
            async with AsyncClient() as client:
                task = await client.send("What happened at 10:30?", files=["app.log", "cpu.csv"])
                async for event in client.stream(task):
                    print(event.seq, event.kind, event.text)
                print((await client.task(task)).text)
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        patience_s: float = PATIENCE_S,
        on_cut: OnCut | None = None,
    ) -> None:
        self._places = places(url, token)
        self._patience_s = patience_s
        self._on_cut = on_cut
        self._http: httpx.AsyncClient | None = None
        self._server: Server | None = None
        self._finding = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. The tasks go on."""
        if self._server is not None:
            await self._server.close()
        if self._http is not None:
            await self._http.aclose()
        self._server = self._http = None

    async def url(self) -> str:
        """Where the server is asked, once it has answered."""
        return (await self._found()).url

    async def send(
        self,
        text: str = "",
        *,
        files: Files = (),
        data: Iterable[Any] = (),
        agent: str | None = None,
        context_id: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Task:
        """Begin a task. Return as soon as the server has it; it runs whether or not anybody follows it.

        Args:
            text: what to do.
            files: paths of files, or contents by file name. Files that are too large for a message are uploaded.
            data: values of data parts.
            agent: which agent gets it, by name; by default the gateway's default agent.
            context_id: the conversation that it belongs to; by default a new one.
            on_progress: called with a file's name, the bytes of it that were sent, and the bytes that there are.

        Raises:
            ClientError: a file cannot be read, the data are not JSON, and as the class says.

        Example:
            async def begin(client: AsyncClient) -> Task:
                return await client.send("Greet her.", data=[{"name": "Ada"}], agent="greeter")
        """
        server = await self._found()
        message = await self._message(server, text, files, data, agent, on_progress)
        return await server.begin(msgspec.structs.replace(message, context_id=context_id), agent)

    async def stream(self, task: Task | str, cursor: int = 0) -> AsyncGenerator[Event]:
        """The task's events after `cursor`, each once and in order, until the task is finished or waits for its user.

        A cut costs nothing: the stream goes on with the next event. Only a server without our extension cannot do that;
        after a cut it tells the task as it is then, as an event of the kind "snapshot".

        Args:
            task: the task, or its id.
            cursor: the `seq` of the last event that is known; 0 for all events. It has no effect on a server without
                our extension.

        Example:
            async def follow(client: AsyncClient, task: Task) -> str:
                answer = ""
                async for event in client.stream(task):
                    if event.artifact == "response":
                        answer = answer + event.text if event.append else event.text
                return answer
        """
        server = await self._found()
        with client_errors():
            async with aclosing(server.follow(_id_of(task), cursor)) as events:
                async for event in events:
                    yield event

    async def reply(
        self,
        task: Task | str,
        answer: Any = None,
        *,
        answers: dict[str, Any] | None = None,
        files: Files = (),
        on_progress: OnProgress | None = None,
    ) -> None:
        """Answer what a task asks that waits for its user. Follow it on with `stream` and the last event's `seq`.

        Args:
            task: the task, or its id.
            answer: to the only open question: a text, or any other value as data.
            answers: the answers by the ids of their questions, if several are open.
            files: as in `send`.
            on_progress: as in `send`.

        Example:
            async def talk(client: AsyncClient, task: Task) -> None:
                cursor = 0
                while not (await client.task(task)).ended:
                    async for event in client.stream(task, cursor):
                        cursor = event.seq or 0
                        for question in event.questions:
                            await client.reply(task, answers={question.id: "yes"})
        """
        server = await self._found()
        text, data = (answer, []) if isinstance(answer, str) else ("", [] if answer is None else [answer])
        if answers is not None:
            data = [{"answers": answers}]
        message = await self._message(server, text, files, data, None, on_progress)
        await server.reply(_id_of(task), message)

    async def cancel(self, task: Task | str) -> None:
        """Cancel a task. It ends with the state TASK_STATE_CANCELED.

        Example:
            async def stop(client: AsyncClient, task: Task) -> str:
                await client.cancel(task)
                async for event in client.stream(task):
                    pass
                return event.state
        """
        await (await self._found()).cancel(_id_of(task))

    async def task(self, task: Task | str) -> Task:
        """The task as it is now, with its artifacts.

        Example:
            async def result(client: AsyncClient, task_id: str) -> str:
                task = await client.task(task_id)
                return task.text if task.state == "TASK_STATE_COMPLETED" else task.message
        """
        return await (await self._found()).task(_id_of(task))

    async def tasks(self) -> AsyncGenerator[Task]:
        """The caller's tasks, newest first, without their artifacts.

        Example:
            async def waiting(client: AsyncClient) -> list[str]:
                return [task.id async for task in client.tasks() if task.waits]
        """
        async with aclosing((await self._found()).tasks()) as tasks:
            async for task in tasks:
                yield task

    async def agents(self) -> list[Agent]:
        """The agents that can be asked, the default one first.

        Example:
            async def names(client: AsyncClient) -> list[str]:
                return [agent.name for agent in await client.agents() if not agent.error]
        """
        return await (await self._found()).agents()

    async def _message(
        self,
        server: Server,
        text: str,
        files: Files,
        data: Iterable[Any],
        agent: str | None,
        on_progress: OnProgress | None,
    ) -> Message:
        try:
            values = [plain(value, "The data for an agent") for value in data]
        except (NotJson, TooDeep) as error:
            raise ClientError(str(error)) from None
        parts = [Part(text=text)] if text else []
        if files:
            packed_files = await asyncio.to_thread(packed, files, await server.modes(agent))
            try:
                parts += await server.parts(packed_files, on_progress)
            finally:
                for file in packed_files:
                    file.content.close()
        parts += [Part(data=value) for value in values]
        return Message(message_id=str(uuid.uuid4()), role="ROLE_USER", parts=parts or [Part(text="")])

    async def _found(self) -> Server:
        """The server, which is looked for at the first request.

        Raises:
            ClientError: there is none.
        """
        async with self._finding:
            if self._server is None:
                problem: ClientError | None = None
                for place in self._places:
                    try:
                        self._server = await self._at(place)
                        break
                    except ServerUnreachable as error:
                        problem = problem or error
                if self._server is None:
                    raise problem or ServerUnreachable("There is no server to ask.")
            return self._server

    async def _at(self, place: Place) -> Server:
        """The server at a place: a gateway if it says so, else an agent.

        Raises:
            ServerUnreachable: nobody answers there.
            ServerRefused: who answers there is neither.
        """
        http = new_http(place.url, place.token)
        try:
            server: Server
            if await _is_gateway(http, place.url):
                server = GatewayServer(http, place.url, patience_s=self._patience_s, on_cut=self._on_cut)
            else:
                with client_errors():
                    agent = await discover(http, place.url, STRANGERS)
                server = AgentServer(http, agent, patience_s=self._patience_s, on_cut=self._on_cut)
        except BaseException:
            await http.aclose()
            raise
        self._http = http
        return server


async def _is_gateway(http: httpx.AsyncClient, url: str) -> bool:
    """Whether the server answers as a gateway does to the question who asks: who it is, or with a problem document.

    Raises:
        ServerUnreachable: nobody answers.
    """
    if httpx.URL(url).path.endswith(".json"):  # a card
        return False
    try:
        async with http.stream("GET", f"{url}/api/auth/me", timeout=_ASKED_S) as answer:
            pass  # What it says beyond that is not read: it may be anybody's, and without an end.
    except httpx.TransportError as error:
        raise unreachable(url, error) from None
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return (answer.status_code, kind) in _GATEWAYS


def _id_of(task: Task | str) -> str:
    return task if isinstance(task, str) else task.id
