"""Runs an agent in a test: no server, no port, no file, and nothing of the agent is replaced.

`run` is one task from its message to its end, and returns what it came to. Several turns of one conversation are
`conversation`; a single node that calls `tailrace.request()` is tested inside `request`. `run` and `conversation` are
asynchronous, for pytest with pytest-asyncio or anyio; a test without an event loop calls `asyncio.run(run(…))`.
"""

from __future__ import annotations

import base64
import contextlib
import mimetypes
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tailrace.a2a.card import AgentCard
from tailrace.a2a.errors import RpcError
from tailrace.a2a.task import snapshot
from tailrace.agent.app import AgentApp
from tailrace.agent.graph_source import GraphSource
from tailrace.agent.questions import questions_in
from tailrace.authoring.ask import Question
from tailrace.authoring.emission import RESPONSE
from tailrace.authoring.emit import set_request
from tailrace.events import INTERRUPTED, Artifact, Event, Message, Part, State, decode, encode
from tailrace.inputs.decode import request_of
from tailrace.inputs.request import Request
from tailrace.log.memory import MemoryLog

__all__ = ["File", "Result", "conversation", "request", "run"]

# Files to send: paths, or contents by file name. Text is sent as text, bytes under the type that the name has.
Files = Iterable[str | Path] | Mapping[str, str | bytes]
# What a test answers: the answers to the first, second … question, or a function that is called with each.
Answers = Iterable[Any] | Callable[[Question], Any]

_URL = "http://agent.test"


class File(msgspec.Struct, frozen=True):
    """A file that an agent gave: its `content`, or the `url` where it is."""

    filename: str
    media_type: str
    content: bytes = b""
    url: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a task came to.

    - `state`: how it ended, like "TASK_STATE_COMPLETED"; "TASK_STATE_INPUT_REQUIRED" if it waits for an answer.
    - `message`: what its last status says: what it waits for, or why it failed or refused; "" if nothing.
    - `texts`, `data`, `files`: the artifacts, by name. `data` has the value of an artifact's first data part.
    - `questions`: what the graph has asked, answered or not.
    - `events`: all events, in their order (docs/PROTOCOL.md, section 2).

    An answer without a task (`AgentApp(answer=…)`) is a completed result whose `message` it is, without a `task_id`.
    """

    state: State
    message: str
    texts: dict[str, str]
    data: dict[str, Any]
    files: dict[str, File]
    questions: list[Question]
    events: list[Event]
    task_id: str
    context_id: str

    @property
    def response(self) -> str:
        """The agent's answer: the text of the artifact `response`; "" without one."""
        return self.texts.get(RESPONSE, "")


class Conversation:
    """Tasks of one A2A context, one after the other. `conversation` makes it."""

    def __init__(self, http: httpx.AsyncClient, log: MemoryLog) -> None:
        self._http = http
        self._log = log
        self.context_id = str(uuid.uuid4())

    async def run(
        self,
        text: str = "",
        *,
        files: Files = (),
        data: Iterable[Any] = (),
        metadata: dict[str, Any] | None = None,
        answers: Answers = (),
    ) -> Result:
        """Run one task of the conversation; the arguments and errors are those of `run`."""
        message = _message(text, files, data, metadata, context_id=self.context_id)
        reply_to = answers if callable(answers) else _in_turn(answers)
        questions: list[Question] = []
        while True:
            answered = await self._send(message)
            if "message" in answered:
                return _direct(msgspec.convert(answered["message"], Message), self.context_id)
            task_id = answered["task"]["id"]
            task = (await snapshot(self._log, task_id)).task
            if task.status.state in INTERRUPTED:
                waiting = questions_in(task.status.message)
                questions += [each for each in waiting if each not in questions]
                by_id = {each.id: answer for each in waiting if (answer := reply_to(each)) is not None}
                if by_id:
                    answer = next(iter(by_id.values())) if len(waiting) == 1 else {"answers": by_id}
                    message = _reply(answer, self.context_id, task_id)
                    continue
            events = [decode(event) for batch in await self._log.read(task_id, 0) for event in batch.events]
            artifacts = task.artifacts or []
            return Result(
                state=task.status.state,
                message=_words(task.status.message),
                texts={each.name or "": words for each in artifacts if (words := _text_of(each)) is not None},
                data={each.name or "": part.data for each in artifacts for part in _data_in(each.parts)[:1]},
                files={each.name or "": file for each in artifacts if (file := _file_of(each)) is not None},
                questions=questions,
                events=events,
                task_id=task_id,
                context_id=task.context_id,
            )

    async def _send(self, message: Message) -> dict[str, Any]:
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        answer = (await self._http.post("/", content=encode(call))).json()
        if "error" in answer:
            raise RpcError(answer["error"]["code"], answer["error"]["message"])
        result: dict[str, Any] = answer["result"]
        return result


async def run(
    agent: AgentApp | GraphSource,
    text: str = "",
    *,
    files: Files = (),
    data: Iterable[Any] = (),
    metadata: dict[str, Any] | None = None,
    answers: Answers = (),
    owner: str = "tester",
) -> Result:
    """Run an agent for one message. Return what its task came to.

    The agent gets the message by A2A, as from any client, with all options of its `AgentApp`; only its log,
    checkpoints and store are new, in memory, and gone afterwards. A graph without an `AgentApp` runs with the
    default options.

    Args:
        text: the message's text.
        files: paths of files to send, or contents by file name: `{"app.log": "one line"}`.
        data: values of data parts.
        metadata: the message's metadata.
        answers: what to answer to the graph's questions, in turn: a text, or any other value as data. Also a function
            of the `Question`. A question for which no answer is left, or the function returns None, stays open: the
            result is the waiting task.
        owner: the name of the user who asks.

    Raises:
        RpcError: the agent refused the message, or an answer. The error's text says why, and `code` is its number.
        ConfigError: the graph cannot be used.

    Example:
        async def book(state: MessagesState) -> None:
            people = interrupt("For how many people?")
            write(f"A table for {people}, {state['messages'][-1].text}.")

        graph = StateGraph(MessagesState).add_node(book).add_edge(START, "book")

        async def test_a_table_is_booked() -> None:
            booked = await run(graph, "Ada", answers=["4"])
            assert booked.response == "A table for 4, Ada."
            assert [question.value for question in booked.questions] == ["For how many people?"]
            assert booked.state == "TASK_STATE_COMPLETED"
    """
    async with conversation(agent, owner=owner) as only:
        return await only.run(text, files=files, data=data, metadata=metadata, answers=answers)


@contextlib.asynccontextmanager
async def conversation(agent: AgentApp | GraphSource, *, owner: str = "tester") -> AsyncIterator[Conversation]:
    """A conversation with an agent: its tasks share a context, and the agent's long-term memory.

    Raises:
        ConfigError: the graph cannot be used.

    Example:
        async def count(state: MessagesState) -> None:
            write(f"You have said {len(state['messages'])} things.")

        graph = StateGraph(MessagesState).add_node(count).add_edge(START, "count")

        async def test_the_agent_remembers() -> None:
            async with conversation(graph) as talk:
                assert (await talk.run("Hello")).response == "You have said 1 things."
                assert (await talk.run("Hello again")).response == "You have said 2 things."
    """
    app = agent if isinstance(agent, AgentApp) else AgentApp(agent, _CARD)
    log = MemoryLog()
    app = app.in_memory(log, owner)
    async with app.opened():
        transport = httpx.ASGITransport(app)
        headers = {"A2A-Version": "1.0", "Content-Type": "application/json"}
        async with httpx.AsyncClient(transport=transport, base_url=_URL, headers=headers, timeout=None) as http:  # noqa: S113
            yield Conversation(http, log)


@contextlib.contextmanager
def request(
    text: str = "", *, files: Files = (), data: Iterable[Any] = (), metadata: dict[str, Any] | None = None
) -> Iterator[Request]:
    """Make `tailrace.request()` return this request inside the block, so that a test can call a node by itself.

    The arguments are those of `run`. What a node reports outside a graph, like `progress` and `write`, does nothing.

    Raises:
        RequestError: the parts cannot be used.

    Example:
        async def count_lines(state: MessagesState) -> dict[str, object]:
            return {"messages": [("ai", str(sum(1 for _ in tailrace.request().files[0].lines())))]}

        async def test_lines_are_counted() -> None:
            with request("How many?", files={"app.log": "one\\ntwo\\n"}):
                assert await count_lines({"messages": []}) == {"messages": [("ai", "2")]}
    """
    decoded = request_of([_message(text, files, data, metadata, context_id=str(uuid.uuid4()))])
    token = set_request(decoded)
    try:
        yield decoded
    finally:
        token.var.reset(token)
        decoded.close()


_CARD = AgentCard(name="test", description="A graph in a test.", version="1", skills=[], input_modes=("*/*",))


def _message(
    text: str,
    files: Files,
    data: Iterable[Any],
    metadata: dict[str, Any] | None,
    *,
    context_id: str,
    task_id: str | None = None,
) -> Message:
    parts = [Part(text=text)] if text else []
    contents = files.items() if isinstance(files, Mapping) else ((Path(f).name, Path(f).read_bytes()) for f in files)
    parts += [_file_part(name, content) for name, content in contents]
    parts += [Part(data=value) for value in data]
    return Message(
        message_id=str(uuid.uuid4()),
        role="ROLE_USER",
        parts=parts or [Part(text="")],
        context_id=context_id,
        task_id=task_id,
        metadata=metadata,
    )


def _reply(answer: Any, context_id: str, task_id: str) -> Message:
    text, data = (answer, []) if isinstance(answer, str) else ("", [answer])
    return _message(text, (), data, None, context_id=context_id, task_id=task_id)


def _file_part(name: str, content: str | bytes) -> Part:
    if isinstance(content, str):
        return Part(text=content, filename=name)
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Part(raw=base64.b64encode(content).decode(), filename=name, media_type=media_type)


def _in_turn(answers: Iterable[Any]) -> Callable[[Question], Any]:
    remaining = iter(answers)
    return lambda question: next(remaining, None)


def _words(message: Message | None) -> str:
    parts = message.parts if message is not None else []
    return "".join(part.text for part in parts if part.text is not None)


def _direct(message: Message, context_id: str) -> Result:
    return Result(
        state="TASK_STATE_COMPLETED",
        message=_words(message),
        texts={},
        data={},
        files={},
        questions=[],
        events=[],
        task_id="",
        context_id=message.context_id or context_id,
    )


def _text_of(artifact: Artifact) -> str | None:
    texts = [part.text for part in artifact.parts if part.text is not None]
    return "".join(texts) if texts else None


def _data_in(parts: list[Part]) -> list[Part]:
    return [part for part in parts if part.data is not msgspec.UNSET]


def _file_of(artifact: Artifact) -> File | None:
    for part in artifact.parts:
        if part.raw is not None or part.url is not None:
            content = base64.b64decode(part.raw or "")
            return File(part.filename or "", part.media_type or "", content, part.url or "")
    return None
