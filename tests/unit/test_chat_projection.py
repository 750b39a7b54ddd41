"""A task's events as the AI SDK's chunks: a page that has applied them shows what the log says, and nothing void."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.artifact_text import ArtifactText
from gateway.chat.files import artifact_chunks
from gateway.chat.projection import Projection
from tailrace.events import (
    Details,
    Kind,
    Message,
    Origin,
    Part,
    Source,
    artifact_update,
    decode,
    status_update,
    submitted,
)
from tailrace.events import State as TaskState
from tests.support.linear_time import assert_linear

TASK = "00000000-0000-0000-0000-000000000001"


class Log:
    """Events of a task, and the page that gets their chunks.

    The page does what `processUIMessageStream` of the package `ai` does with the chunks of which these tests speak.
    """

    def __init__(self, *, shows: bool = True) -> None:
        self._shows = shows
        self.projection, self.attempt, self.seq = Projection(TASK, keeps=True), 1, 1
        self.parts: list[dict[str, Any]] = []
        self._texts: dict[str, dict[str, Any]] = {}
        message = Message(message_id="m-1", role="ROLE_USER", parts=[Part(text="go")])
        self._add(submitted(self.source, message))
        self.state("TASK_STATE_WORKING")

    @property
    def source(self) -> Source:
        return Source(TASK, "chat-1", "greeter", self.attempt)

    def event(self, kind: Kind, text: str | None = None, **details: Any) -> None:
        self._add(status_update(self.source, self.seq + 1, kind, Details(**details), text=text))

    def state(self, state: TaskState, **more: Any) -> None:
        self._add(status_update(self.source, self.seq + 1, "state", state=state, **more))

    def text(self, text: str, *, append: bool = True, artifact: str = "response", step: str | None = None) -> None:
        part = Part(text=text)
        self._add(artifact_update(self.source, self.seq + 1, "token", artifact, part, append=append, step=step))

    def data(self, data: Any, *, artifact: str, step: str) -> None:
        self._add(
            artifact_update(self.source, self.seq + 1, "token", artifact, Part(data=data), append=False, step=step)
        )

    def reply(self, approved: bool | None) -> None:
        """Answer an approval, which goes on with the message; or with None anything, which begins another one."""
        decision = {"type": "approve" if approved else "reject"}
        parts = [Part(text="red")] if approved is None else [Part(data={"answers": {"q": decision}})]
        goes_on = "" if approved is None else f"{self.projection.message_id}#"
        message = Message(message_id=f"{goes_on}{self.seq}", role="ROLE_USER", parts=parts)
        self._add(status_update(self.source, self.seq + 1, "state", message=message))

    def takeover(self, *supersedes: str) -> None:
        self.attempt += 1
        self.event("attempt", "worker lost", reason="worker lost", supersedes=list(supersedes))

    def lose(self, events: int) -> None:
        first, self.seq = self.seq + 1, self.seq + events
        for chunk in self.projection.lose(first, self.seq):
            self._apply(msgspec.to_builtins(chunk))

    @property
    def shown(self) -> list[str]:
        """What the page shows, without what it says of steps."""
        return [_words(part) for part in self.parts if part["type"] not in ("data-step", "step-start")]

    @property
    def stored(self) -> list[str]:
        """The same of the message as the gateway stores it."""
        parts = msgspec.to_builtins(self.projection.messages[-1].parts)
        return [_words(part) for part in parts if part["type"] not in ("data-step", "step-start")]

    @property
    def steps(self) -> dict[str, str]:
        return {part["id"]: part["data"]["state"] for part in self.parts if part["type"] == "data-step"}

    def _add(self, event: bytes) -> None:
        self.newest = decode(event)
        self.seq = self.newest.metadata.seq
        told = self.projection.chunks(self.newest)
        for chunk in told if self._shows else ():
            self._apply(msgspec.to_builtins(chunk))

    def _apply(self, chunk: dict[str, Any]) -> None:
        kind = chunk["type"]
        if kind == "start":
            self.parts, self._texts = [], {}
        elif kind == "start-step":
            self.parts.append({"type": "step-start"})
        elif kind == "reset-step":
            while self.parts[-1]["type"] != "step-start":
                self.parts.pop()
            self._texts = {}
        elif kind in ("text-start", "reasoning-start"):
            assert chunk["id"] not in self._texts
            self._texts[chunk["id"]] = {"type": kind.removesuffix("-start"), "text": ""}
            self.parts.append(self._texts[chunk["id"]])
        elif kind in ("text-delta", "reasoning-delta"):
            self._texts[chunk["id"]]["text"] += chunk["delta"]
        elif kind in ("text-end", "reasoning-end"):
            del self._texts[chunk["id"]]
        elif kind.startswith("data-"):
            known = next(
                (part for part in self.parts if (part["type"], part.get("id")) == (kind, chunk.get("id"))), None
            )
            if known is not None:
                known["data"] = chunk["data"]
            else:
                self.parts.append(chunk)
        elif kind in ("tool-input-start", "tool-input-available", "tool-output-available", "tool-output-error"):
            tool = self._tool(chunk, new="input" in kind)
            for each in ("output", "errorText"):
                tool.pop(each, None)
            tool.update(chunk)
        elif kind in ("tool-approval-request", "tool-output-denied"):
            self._tool(chunk, new=False).update(chunk)
        elif kind == "tool-approval-response":
            assert [part for part in self.parts if part.get("approvalId") == chunk["approvalId"]]

    def _tool(self, chunk: dict[str, Any], *, new: bool) -> dict[str, Any]:
        last = max(place for place, part in enumerate(self.parts) if part["type"] == "step-start")
        among = self.parts[last:] if new else self.parts
        known = [part for part in among if part.get("toolCallId") == chunk["toolCallId"]]
        if not known:
            assert new, f"no call {chunk['toolCallId']}"
            self.parts.append(dict(chunk))
        return known[-1] if known else self.parts[-1]


def _words(part: dict[str, Any]) -> str:
    if "toolCallId" in part:
        return f"{part['toolName']}: {part.get('output', part.get('errorText', '…'))}"
    return str(part.get("text", part.get("data")))


def test_a_takeover_takes_back_what_is_void_and_keeps_the_rest() -> None:
    log = Log()
    log.event("node_start", step="a", name="plan")
    log.text("Once", append=False, step="a")
    log.event("node_end", step="a", name="plan")
    for step in ("b", "c"):  # in parallel
        log.event("node_start", step=step, name=step)
    log.event("reasoning", "Hm.", step="b", name="model", message="r")
    log.event("tool_start", step="t", parent="b", name="look", input="{}")
    log.event("tool_complete", step="t", parent="b", name="look", output="void")
    log.text(" half", step="b")
    log.event("progress", "reading", step="c", done=1, total=2)
    log.event("tool_start", step="u", parent="c", name="read", input="{}")
    log.event("tool_complete", step="u", parent="c", name="read", output="42")
    log.event("node_end", step="c", name="c")
    assert log.shown == ["Once", "Hm.", "look: void", " half", "read: 42"]
    log.takeover("b", "t")
    assert log.shown == ["Once", "read: 42"]
    log.text("Once", append=False)
    log.event("node_start", step="b", name="b")
    log.text(" upon a time.", step="b")
    log.event("node_end", step="b", name="b")
    assert log.shown == ["Once", "read: 42", " upon a time."]
    assert log.steps == {"a": "done", "b": "done", "c": "done"}


def test_a_gap_is_shown_whatever_is_taken_back_and_also_by_a_page_that_is_loaded_again() -> None:
    log = Log()
    log.event("node_start", step="a", name="a")
    log.text("half", step="a")
    log.lose(2)
    log.takeover("a")
    assert log.shown == log.stored == ["{'from': 5, 'to': 6}"]
    expired = Projection(TASK, keeps=True)
    assert expired.lose(1, 6) == []
    kinds = [type(chunk).__name__ for chunk in expired.chunks(log.newest)]
    assert kinds[:3] == ["Start", "StartStep", "GapData"]
    assert [type(part).__name__ for part in expired.messages[0].parts] == ["StepStart", "GapData"]


@pytest.mark.parametrize("void", [("n", "t"), ("t",)])
def test_a_models_call_stays_when_only_its_tool_is_void(void: tuple[str, ...]) -> None:
    log = Log()
    log.event("node_start", step="m", name="model")
    log.event("tool_call", step="m", name="look", call="call-1", input='{"word":')
    log.event("tool_call", step="m", name="look", call="call-1", input='"mill"}')
    log.event("node_end", step="m", name="model")
    log.event("node_start", step="n", name="tools")
    log.event("tool_start", step="t", parent="n", name="look", call="call-1", input='{"word":"mill"}')
    log.event("tool_complete", step="t", parent="n", name="look", call="call-1", output="void")
    log.takeover(*void)
    assert log.shown == ["look: …"]
    assert [part["input"] for part in log.parts if "toolCallId" in part] == [{"word": "mill"}]
    log.event("node_start", step="n", name="tools")
    log.event("tool_start", step="t2", parent="n", name="look", call="call-1", input='{"word":"mill"}')
    log.event("tool_complete", step="t2", parent="n", name="look", call="call-1", output="found")
    assert log.shown == ["look: found"]


def test_a_message_that_is_not_the_answer_after_all_is_shown_once() -> None:
    log = Log()
    log.event("node_start", step="m", name="model")
    log.text("Let me see.", append=False, step="m")
    log.text("", append=False)
    log.event("message", "Let me see.", step="m", name="model", message="x")
    assert log.shown == ["Let me see."]
    log.event("node_end", step="m", name="model")
    log.event("node_start", step="o", name="model")
    log.text("It is so.", step="o")
    # In an earlier step: the page cannot take it back, and the agent has said it.
    log.text("", append=False)
    log.text("It is so.", step="o")
    assert log.shown == ["Let me see.", "It is so."]


def test_the_steps_of_other_agents_are_data_and_their_takeovers_take_nothing_back() -> None:
    log = Log()
    log.event("node_start", step="ask", name="ask")
    log.event("tool_start", step="call", parent="ask", name="analyst", input="{}")
    for seq, (kind, step) in enumerate((("node_start", "x/1"), ("tool_start", "x/2")), 1):
        log.event(kind, step=step, parent="call", name="read", origin=Origin("other", seq))  # type: ignore[arg-type]
    log.event("progress", "line 1", step="x/2", done=1, total=9, origin=Origin("other", 3))
    log.event("attempt", reason="worker lost", supersedes=["x/2"], origin=Origin("other", 4))
    assert log.steps == {"ask": "running", "x/1": "running", "x/2": "superseded"}
    assert log.shown == ["analyst: …"]


@pytest.mark.parametrize("state", ["TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED"])
def test_a_run_that_ends_leaves_no_call_without_a_result(state: TaskState) -> None:
    log = Log()
    log.event("node_start", step="n", name="tools")
    log.event("tool_call", step="n", name="look", call="call-1", input='{"wo')
    log.event("tool_start", step="t", parent="n", name="read", input="{}")
    log.state(state)
    assert log.shown == [f"{name}: The run ended before this call was answered." for name in ("look", "read")]


def test_a_message_that_failed_says_why_also_when_the_page_is_loaded_again() -> None:
    log = Log()
    log.state("TASK_STATE_FAILED", text="The pump is off.")
    about = log.projection.messages[-1].metadata
    assert about is not None
    assert (about.state, about.error) == ("failed", "The pump is off.")


MANY = {
    "messages": lambda log, each: log.event("message", "Hm.", step="n", name="model", message=each),
    "calls": lambda log, each: log.event("tool_start", step=each, parent="n", name="look", input="{}"),
    "texts": lambda log, each: log.text("Once", append=False, artifact=each, step="n"),
    "data": lambda log, each: log.data({"n": each}, artifact=each, step="n"),
}


@pytest.mark.parametrize("many", MANY)
def test_a_step_of_many_parts_takes_no_more_time_for_each(many: str) -> None:
    def work(text: str) -> None:
        log = Log(shows=False)
        for number in range(len(text)):
            MANY[many](log, str(number))
        log.event("node_end", step="n", name="n")

    assert_linear(work, ("", "x", ""), largest=3_200)


TEXTS = st.text("ab", min_size=1, max_size=4)


@given(st.lists(st.tuples(TEXTS, st.booleans(), st.sampled_from("xyz")), max_size=12))
def test_a_page_has_the_text_that_the_log_has(pieces: list[tuple[str, bool, str]]) -> None:
    log, text = Log(), ""
    for place, (piece, append, step) in enumerate(pieces):
        append = append and place > 0
        text = text + piece if append else piece
        log.text(piece, append=append, step=step)
    assert "".join(log.shown) == text


@given(st.lists(TEXTS, min_size=1, max_size=5), TEXTS, st.lists(st.integers(0, 30), max_size=6))
def test_what_the_log_repeats_is_not_told_twice_wherever_it_is_cut(kept: list[str], new: str, cuts: list[int]) -> None:
    known, whole = ArtifactText(kept=list(kept)), "".join(kept) + new
    known.begin_again()
    places = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    assert "".join(known.new(whole[start:end]) for start, end in pairwise(places)) == new


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        (Part(raw="aGk=", media_type="text/plain; charset=utf-8"), ("file", "data:text/plain;base64,aGk=")),
        (Part(text="hi", filename="a.txt"), ("file", "data:application/octet-stream;base64,aGk=")),
        # It would be the content of the data URL.
        (Part(raw="aGk=", media_type="text/html,<script>"), ("file", "data:application/octet-stream;base64,aGk=")),
        (Part(url="https://a.example/b", media_type="image/png"), ("file", "https://a.example/b")),
        (Part(url="javascript:alert(1)"), ("data-artifact", None)),
        (Part(data={"a": 1}), ("data-artifact", None)),
    ],
)
def test_a_file_s_address_holds_nothing_that_a_page_would_run(part: Part, shown: tuple[str, str | None]) -> None:
    (chunk,) = msgspec.to_builtins(artifact_chunks("x", [part]))
    assert (chunk["type"], chunk.get("url")) == shown


def test_sources_are_sources_only_if_a_page_can_link_to_them() -> None:
    given = [{"url": "https://a.example/"}, {"title": "A book", "mediaType": "application/pdf"}]
    assert [each["type"] for each in msgspec.to_builtins(artifact_chunks("sources", [Part(data=given)]))] == [
        "source-url",
        "source-document",
    ]
    (kept,) = msgspec.to_builtins(artifact_chunks("sources", [Part(data=[{"url": "javascript:alert(1)"}])]))
    assert kept["type"] == "data-artifact"


STEP, CALL = st.sampled_from("abc"), st.sampled_from("xy")
NODE = st.sampled_from(["node_start", "node_end"])
TOOL = st.sampled_from(["tool_start", "tool_complete", "tool_call"])
INTERRUPTS = {"interrupts": [{"id": "q", "node": "a", "value": {"type": "tool_approval", "name": "y", "args": {}}},
                             {"id": "r", "node": "b", "value": "Red?"}]}  # fmt: skip
EVENTS = st.one_of(
    st.tuples(st.just("node"), NODE, STEP, st.booleans()),
    st.tuples(st.just("tool"), TOOL, STEP, CALL, st.sampled_from(["", "{}", '{"a":', "text"])),
    st.tuples(st.just("text"), TEXTS, st.booleans(), STEP),
    st.tuples(st.just("said"), st.sampled_from(["message", "reasoning", "progress"]), TEXTS, STEP),
    st.tuples(st.just("takeover"), st.lists(st.sampled_from("abcxy"), max_size=3, unique=True)),
    st.tuples(st.just("asks")),
    st.tuples(st.just("reply"), st.sampled_from([None, True, False])),
    st.tuples(st.just("ends"), st.sampled_from(["TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED"])),
)


@given(st.lists(EVENTS, max_size=25))
def test_whatever_the_log_has_a_page_can_apply_it_and_has_what_is_stored(events: list[tuple[Any, ...]]) -> None:
    log = Log()
    for event in events:
        match event:
            case ("node", kind, step, interrupted):
                log.event(kind, step=step, name=step, interrupted=interrupted or None)
            case ("tool", "tool_complete", step, call, text):
                log.event("tool_complete", step=call, parent=step, name=call, output=text, error=text or None)
            case ("tool", kind, step, call, text):
                log.event(
                    kind, step=step if kind == "tool_call" else call, parent=step, name=call, call=call, input=text
                )
            case ("text", text, append, step):
                log.text(text, append=append, step=step)
            case ("said", kind, text, step):
                log.event(kind, text, step=step, name="model", message=step)
            case ("takeover", steps):
                log.takeover(*steps)
            case ("asks",):
                log.state("TASK_STATE_INPUT_REQUIRED", text="?", data=INTERRUPTS)
            case ("reply", approved):
                log.reply(approved)
            case ("ends", state):
                log.state(state, text="over")
        assert log.shown == log.stored, event
