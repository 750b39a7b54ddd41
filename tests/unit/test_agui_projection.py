"""What an AG-UI client is told of any log keeps AG-UI's rules, and brings it to the same messages wherever it joins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.agui import events as ag
from gateway.agui.input import RunAgentInput
from gateway.agui.projection import Projection
from tailrace.authoring.ask import Question, questions_as_data
from tailrace.events import (
    Details,
    Event,
    Message,
    Part,
    Source,
    artifact_update,
    decode,
    status_update,
    submitted,
)
from tests.support.linear_time import assert_linear

SOURCE = Source("task", "thread", "agent", 1)
STEPS, CALLS, MESSAGES = ("s1", "s2"), ("c1", "c2"), ("A", "B")
STEP, CALL, MESSAGE, TEXT = (st.sampled_from(each) for each in (STEPS, CALLS, MESSAGES, ("x", "yz", " and", "\n\n")))
MAYBE = st.none() | MESSAGE
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("node_start"), STEP),
        st.tuples(st.just("node_end"), STEP),
        st.tuples(st.just("token"), st.sampled_from(["response", "notes"]), st.booleans(), TEXT, MAYBE, STEP),
        st.tuples(st.just("message"), MESSAGE, TEXT, STEP),
        st.tuples(st.just("reasoning"), MESSAGE, TEXT, STEP),
        st.tuples(st.just("tool_call"), CALL, TEXT, MESSAGE, STEP),
        st.tuples(st.just("tool_start"), st.none() | CALL, STEP),
        st.tuples(st.just("tool_complete"), STEP, st.sampled_from(["ok", "no"])),
        st.tuples(st.just("attempt"), st.sets(st.sampled_from((*STEPS, "t-s1", "t-s2")))),
        st.tuples(st.just("result"), st.sampled_from(["data", "a/b"]), st.integers(0, 3)),
        st.tuples(st.just("progress"), TEXT),
        st.tuples(st.just("asks")),
        st.tuples(st.just("asks again")),
    ),
    max_size=14,
)  # fmt: skip
ENDS = st.sampled_from(["TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED"])


def log_of(operations: list[tuple[Any, ...]], end: Any) -> list[Event]:
    """The events of a task that does this."""
    user = Message(message_id="u", role="ROLE_USER", parts=[Part(text="hello")])
    log, begun = [submitted(SOURCE, user)], set[str]()

    def status(kind: Any, text: str | None = None, **details: Any) -> None:
        log.append(status_update(SOURCE, len(log) + 1, kind, Details(**details), text=text))

    def state(name: Any, **more: Any) -> None:
        log.append(status_update(SOURCE, len(log) + 1, "state", state=name, **more))

    state("TASK_STATE_WORKING")
    for kind, *given_ in operations:
        match kind, *given_:
            case "node_start" | "node_end", step:
                status(kind, step=step, name="node")
            case "token", name, append, text, message, step:
                adds, said = append and name in begun, message and f"{message}-{name}"
                part = Part(text=text)
                log.append(
                    artifact_update(SOURCE, len(log) + 1, "token", name, part, append=adds, step=step, message=said)
                )
                begun.add(name)
            case "message" | "reasoning", message, text, step:
                status(kind, text, step=step, message=message, name="model")
            case "tool_call", call, text, message, step:
                status(kind, step=step, message=message, call=call, name="tool", input=text)
            case "tool_start", call, step:
                status(kind, step=f"t-{step}", parent=step, call=call, name="tool", input="{}")
            case "tool_complete", step, output:
                status(kind, step=f"t-{step}", parent=step, name="tool", output=output)
            case "attempt", steps:
                status(kind, "worker lost", reason="worker lost", supersedes=sorted(steps))
            case "result", name, value:
                log.append(artifact_update(SOURCE, len(log) + 1, "result", name, Part(data=value), last=True))
            case "progress", text:
                status(kind, text)
            case ("asks" | "asks again",):
                question = questions_as_data([Question(f"q{len(log)}", "Which?", "node")])
                state("TASK_STATE_INPUT_REQUIRED", text="Which?", data=question)
                if kind == "asks again":  # its attempt was lost before it had let the task go
                    status("attempt", "worker lost", reason="worker lost", supersedes=["s1"])
                    status("node_start", step="s1", name="node")
                    status("message", "again", step="s1", message="A", name="model")
                    state("TASK_STATE_INPUT_REQUIRED", text="Which?", data=question)
                reply = Message(message_id=f"r{len(log)}", role="ROLE_USER", parts=[Part(text="this")])
                state("TASK_STATE_WORKING", message=reply)
    state(end, text="because")
    return [decode(event) for event in log]


class Client:
    """What AG-UI's client has, and its rules: it fails where `@ag-ui/client` 1.0 would."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = [{"id": "u", "role": "user", "content": "hello"}]
        self.state: Any = {}
        self.open: dict[str, set[str]] = {}
        self.running = False

    def hears(self, events: Iterable[ag.Event]) -> None:
        for event in events:
            self._hear(msgspec.to_builtins(event))

    def sends(self, message: Message) -> None:
        self._message(message.message_id, "user")["content"] = message.parts[0].text

    def _hear(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        assert self.running is (kind != "RUN_STARTED"), kind
        named = event.get("messageId") or event.get("toolCallId") or event.get("stepName") or ""
        for family in ("TEXT_MESSAGE", "TOOL_CALL", "REASONING_MESSAGE", "STEP", "REASONING"):
            if kind in (f"{family}_START", f"{family}_STARTED"):
                assert named not in self.open[family], (kind, named)
                self.open[family].add(named)
            elif kind in (f"{family}_END", f"{family}_FINISHED"):
                self.open[family].remove(named)
        if kind.endswith(("_CONTENT", "_ARGS")):
            assert named in self.open[kind.rpartition("_")[0]], (kind, named)
        match kind:
            case "RUN_STARTED":
                self.running = True
                self.open = {
                    family: set() for family in ("TEXT_MESSAGE", "TOOL_CALL", "REASONING_MESSAGE", "STEP", "REASONING")
                }
            case "RUN_FINISHED" | "RUN_ERROR":
                assert not any(self.open.values()), self.open
                self.running = False
            case "TEXT_MESSAGE_START":
                is_new = all(each["id"] != named for each in self.messages)
                message = self._message(named, "assistant")
                if is_new and "name" in event:
                    message["name"] = event["name"]
            case "REASONING_MESSAGE_START":
                self._message(named, "reasoning")
            case "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT":
                message = self._message(named, "")
                message["content"] = message.get("content", "") + event["delta"]
            case "TOOL_CALL_START":
                if self._call(named) is None:
                    function = {"name": event["toolCallName"], "arguments": ""}
                    calls = self._message(event["parentMessageId"], "assistant").setdefault("toolCalls", [])
                    calls.append({"id": named, "type": "function", "function": function})
            case "TOOL_CALL_ARGS":
                call = self._call(named)
                assert call is not None
                call["function"]["arguments"] += event["delta"]
            case "TOOL_CALL_RESULT":
                result = {"id": event["messageId"], "role": "tool", "content": event["content"]}
                place = 1 + next(
                    at
                    for at, each in enumerate(self.messages)
                    if any(call["id"] == event["toolCallId"] for call in each.get("toolCalls", ()))
                )
                while place < len(self.messages) and self.messages[place]["role"] == "tool":
                    place += 1
                self.messages.insert(place, {**result, "toolCallId": event["toolCallId"]})
            case "MESSAGES_SNAPSHOT":
                told = {each["id"]: each for each in event["messages"]}
                kept = [told[each["id"]] for each in self.messages if each["id"] in told]
                ids = {each["id"] for each in kept}
                self.messages = kept + [each for key, each in told.items() if key not in ids]
            case "STATE_SNAPSHOT":
                self.state = event["snapshot"]
            case "STATE_DELTA":
                for change in event["delta"]:
                    name = change["path"].removeprefix("/artifacts/").replace("~1", "/").replace("~0", "~")
                    self.state["artifacts"][name] = change["value"]

    def _message(self, message_id: str, role: str) -> dict[str, Any]:
        known = next((each for each in self.messages if each["id"] == message_id), None)
        if known is None:
            known = {"id": message_id, "role": role}
            self.messages.append(known)
        return known

    def _call(self, call_id: str) -> dict[str, Any] | None:
        calls = (call for each in self.messages for call in each.get("toolCalls", ()))
        return next((call for call in calls if call["id"] == call_id), None)


def told_to(projection: Projection, events: Iterable[Event], client: Client) -> None:
    for event in events:
        for message in event.user_messages:  # the client has sent it itself
            client.sends(message)
        client.hears(projection.events(event))


def new() -> Projection:
    return Projection.of("task", "thread", earlier=[], state={})


@settings(max_examples=150, derandomize=True)
@given(OPERATIONS, ENDS, st.data())
def test_a_client_gets_what_is_allowed_and_has_the_same_in_the_end_wherever_it_joins(
    operations: list[tuple[Any, ...]], end: str, data: st.DataObject
) -> None:
    log = log_of(operations, end)
    whole, projection = Client(), new()
    told_to(projection, log, whole)
    messages = msgspec.to_builtins(projection.transcript.messages)
    if ("asks again",) in operations:  # What comes while the task waits is told when it goes on.
        messages.sort(key=lambda each: [known["id"] for known in whole.messages].index(each["id"]))
    assert whole.messages == messages
    assert whole.state == msgspec.to_builtins(projection.shared)
    assert not whole.running

    place = data.draw(st.integers(1, len(log)))
    later, joining = Client(), new()
    told_to(joining, log[:place], Client())
    later.hears(joining.joined(joining.runs[-1]))
    told_to(joining, log[place:], later)
    assert later.state == whole.state
    # A message that was taken back and comes again has the old place at a client that was there.
    assert {each["id"]: each for each in later.messages} == {each["id"]: each for each in whole.messages}

    # The first events may have expired.
    told_to(new(), log[data.draw(st.integers(0, 3)) :], Client())


def test_the_time_for_a_message_grows_with_the_number_of_messages() -> None:
    def work(text: str) -> None:
        RunAgentInput("t", "r", [{"role": "user", "content": each} for each in text]).message()

    assert_linear(work, ("", "x", ""), largest=51_200)
