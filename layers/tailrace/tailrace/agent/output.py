"""The result of a run: what of the graph's last state is the answer, and which artifacts it makes.

The answer is the text of the last message that the model wrote in this task. Images and other files in that message
become artifacts of their own. `structured_response` becomes one, and so do the keys of an output schema. A graph that
has given nothing else gives its state.
"""

from __future__ import annotations

import base64
import mimetypes
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, convert_to_messages

from tailrace.agent.graph import AgentGraph
from tailrace.agent.recovery.takeover import Takeover
from tailrace.agent.structure import has_output_schema, result_keys
from tailrace.authoring.emission import RESPONSE
from tailrace.errors import TailraceError
from tailrace.events import Part, plain
from tailrace.inputs.decode import bytes_of

_MESSAGES, _STRUCTURED = "messages", "structured_response"
_FILES = ("image", "audio", "video", "file")
_BYTES = "application/octet-stream"


class Outcome(msgspec.Struct):
    """What a completed run gives.

    - `answer`: the text of the answer, and `message`: the id of the message that it is. None: the state names none.
    - `decides`: whether the state has messages, so that nothing else that a model has said is the answer.
    - `artifacts`: what the run has to give beside the answer. A text is a text artifact.
    - `spare`: what it gives if it has nothing else.
    """

    answer: str | None = None
    message: str | None = None
    decides: bool = False
    artifacts: dict[str, Part] = {}
    spare: dict[str, Part] = {}


def outcome_of(agent: AgentGraph, state: Any, earlier: Collection[str]) -> Outcome:
    """The outcome of a run whose graph ended with `state`. `earlier` has the ids of the messages of earlier tasks.

    Raises:
        TailraceError: a part of the result has no form in JSON, or the author's `output` failed.
    """
    outcome = Outcome()
    fields = _fields(state)
    messages = _messages(fields)
    if messages is not None:
        outcome.decides = True
        if (message := _last_answer(messages, earlier)) is not None:
            outcome.answer, outcome.message = str(message.text), message.id
            outcome.artifacts |= _files(message)
    if agent.output is not None:
        try:
            named = dict(agent.output(state))
        except Exception as error:
            raise TailraceError(f"The agent's output() failed: {type(error).__name__}: {error}") from error
        for name, value in named.items():
            if name == RESPONSE and isinstance(value, str):
                outcome.answer, outcome.decides = value, True
            else:
                outcome.artifacts[name] = _part(name, value)
        return outcome
    shown = result_keys(agent.graph)
    values = {
        name: value
        for name, value in fields.items()
        if value is not None and not _is_messages(value) and (shown is None or name in shown)
    }
    if (structured := values.get(_STRUCTURED)) is not None:
        outcome.artifacts[_STRUCTURED] = _part(_STRUCTURED, structured)
    if has_output_schema(agent.graph):
        outcome.artifacts |= {name: _part(name, value) for name, value in values.items()}
    elif outcome.answer is None and not outcome.artifacts:
        last = messages[-1] if messages else None
        if isinstance(last, ToolMessage) and last.id not in earlier:  # of a tool that returns directly
            outcome.spare[RESPONSE] = Part(text=str(last.text))
        else:
            outcome.spare = {name: _part(name, value) for name, value in values.items()}
    return outcome


def is_light(agent: AgentGraph, state: Any) -> bool:
    """Whether `outcome_of` needs no thread: it calls nothing of the author's, and the state has only messages."""
    values = _fields(state).values()
    return agent.output is None and all(value is None or _is_messages(value) for value in values)


async def earlier_messages(agent: AgentGraph, takeover: Takeover) -> frozenset[str]:
    """The ids of the messages that the thread had when the task began."""
    history, plan = takeover.history, takeover.plan
    if not (base := (history.base if history.attempt else plan.details.checkpoints or {}).get("")):
        return frozenset()
    pin = plan.pins.get("")
    if pin is None or pin.checkpoint["id"] != base:
        place = {"thread_id": plan.thread, "checkpoint_ns": "", "checkpoint_id": base}
        pin = await agent.checkpointer.aget_tuple({"configurable": place})
    state = {} if pin is None else pin.checkpoint["channel_values"]
    return frozenset(message.id for message in _messages(state) or () if message.id)


def _fields(state: Any) -> Mapping[str, Any]:
    """The state by name. What an entrypoint returns, and a state that is one value, is called `output`."""
    if isinstance(state, Mapping) and all(isinstance(name, str) for name in state):
        return state
    return {_MESSAGES if _is_messages(state) else "output": state}


def _is_messages(value: Any) -> bool:
    if isinstance(value, BaseMessage):
        return True
    return isinstance(value, list) and bool(value) and all(isinstance(each, BaseMessage) for each in value)


def _messages(fields: Mapping[str, Any]) -> list[BaseMessage] | None:
    """The messages of a state: those under `messages`, as LangChain reads them, or else the first list of messages."""
    for value in (fields.get(_MESSAGES), *fields.values()):
        if _is_messages(value):
            return value if isinstance(value, list) else [value]
        if value is fields.get(_MESSAGES) and isinstance(value, list) and value:
            try:
                return convert_to_messages(value)
            except (ValueError, NotImplementedError, KeyError, TypeError):
                return None
    return None


def _last_answer(messages: list[BaseMessage], earlier: Collection[str]) -> BaseMessage | None:
    """The last message of the model that is an answer and was not there before this task."""
    for message in reversed(messages):
        if message.id is not None and message.id in earlier:
            return None
        if isinstance(message, AIMessage) and not message.tool_calls and (str(message.text) or _files(message)):
            return message
    return None


def _files(message: BaseMessage) -> dict[str, Part]:
    return dict(_named_files(message)) if isinstance(message.content, list) else {}


def _named_files(message: BaseMessage) -> Iterator[tuple[str, Part]]:
    counts: Counter[str] = Counter()
    for block in message.content_blocks:
        kind, content, url = block["type"], block.get("base64"), block.get("url")
        if kind not in _FILES or not (content or url):
            continue
        counts[kind] += 1
        name = f"{kind}-{counts[kind]}"
        if isinstance(content, str):
            content = "".join(content.split())  # MIME's base64 has lines
        if content and not _is_base64(content):  # a reader of A2A may refuse the whole event for it
            yield name, Part(data=plain(block, f"The file {name!r}"))
            continue
        media_type = str(block.get("mime_type") or _guessed(url))
        part = Part(filename=f"{name}{_extension(media_type)}", media_type=media_type)
        part.raw, part.url = (str(content), None) if content else (None, str(url))
        yield name, part


def _is_base64(content: Any) -> bool:
    try:
        return isinstance(content, str) and bool(bytes_of(content))
    except ValueError:
        return False


def _guessed(url: Any) -> str:
    """The media type that the end of a URL's path stands for."""
    try:
        path = urlsplit(url).path if isinstance(url, str) else ""
    except ValueError:  # a model may write anything
        path = ""
    return mimetypes.guess_type(path)[0] or _BYTES


def _extension(media_type: str) -> str:
    """The extension of files of this type; Python knows some types, like audio/wav, by their older names only."""
    known = mimetypes.guess_extension
    return "" if media_type == _BYTES else known(media_type) or known(media_type.replace("/", "/x-", 1)) or ""


def _part(name: str, value: Any) -> Part:
    if isinstance(value, str):
        return Part(text=value)
    if isinstance(value, bytes):
        return Part(raw=base64.b64encode(value).decode(), media_type=_BYTES, filename=name)
    return Part(data=plain(value, f"The result {name!r}"))
