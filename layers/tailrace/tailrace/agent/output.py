"""The result of a run: what of the graph's last state is the answer, and which artifacts it makes.

The answer is the text of the last message that the model wrote in this task. Images and other files in that message
become artifacts of their own. `structured_response` becomes one, and so do the keys of an output schema. A graph that
has given nothing else gives its state.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, convert_to_messages

from tailrace.agent.block_files import blocks_of, file_of, is_file
from tailrace.agent.graph import AgentGraph
from tailrace.agent.recovery.takeover import Takeover
from tailrace.agent.structure import has_output_schema, result_keys
from tailrace.authoring.emission import RESPONSE
from tailrace.errors import TailraceError
from tailrace.events import Part, plain
from tailrace.inputs.media_types import UNKNOWN

_MESSAGES, _STRUCTURED = "messages", "structured_response"


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
    for block in filter(is_file, blocks_of(message)):
        kind = block["type"]
        counts[kind] += 1
        name = f"{kind}-{counts[kind]}"
        file = file_of(block)
        if file is None:
            yield name, Part(data=plain(block, f"The file {name!r}"))
        else:
            filename = file.filename or f"{name}{file.extension}"
            yield name, Part(raw=file.base64, url=file.url, filename=filename, media_type=file.media_type)


def _part(name: str, value: Any) -> Part:
    if isinstance(value, str):
        return Part(text=value)
    if isinstance(value, bytes):
        return Part(raw=base64.b64encode(value).decode(), media_type=UNKNOWN, filename=name)
    return Part(data=plain(value, f"The result {name!r}"))
