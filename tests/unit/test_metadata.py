"""What `emit` is given is refused at the call, in words, when nobody could read it from the log."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import events, file, progress, result, write
from tailrace.a2a.incoming import event_in
from tailrace.a2a.remote_task import AgentEvent
from tailrace.agent.recovery.history import history_of
from tailrace.authoring import forwarding
from tailrace.authoring.emission import EmittedStatus, checked
from tailrace.authoring.emit import emit
from tailrace.authoring.forwarding import Forwarding
from tailrace.errors import AgentError
from tailrace.events import EXTENSION, DelegatedTask, Details, Origin, Source
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tests.support.events import message_of


@pytest.mark.parametrize(
    ("kind", "details", "said"),
    [
        ("progress", {"text": 5}, r"\$\.text"),
        ("node_start", {"name": 5}, r"\$\.name"),
        ("node_start", {"step": ["s"]}, r"\$\.step"),
        ("progress", {"done": "half"}, r"\$\.done"),
        ("progress", {"done": 2**60}, r"\$\.done"),
        ("progress", {"done": date(2026, 1, 1)}, r"got `date` - at `\$\.done`"),
        ("node_start", {"name": b"n"}, r"got `bytes` - at `\$\.name`"),
        ("tool_start", {"asked": {"url": "http://there/"}}, r"\$\.asked"),
        ("route", {"targets": ["log_analyst"]}, r"\$\.targets"),
        ("state", {"text": "done"}, r"'state'"),
        ("attempt", {"reason": "worker lost"}, r"'attempt'"),
        ("node_start", {"name": "n", "origin": Origin("t", 1)}, "`agent`"),
        ("progress", {"name": {1, object()}}, "object"),
    ],
)
def test_what_cannot_become_an_event_is_refused_at_the_call(kind: Any, details: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        emit(kind, **details)


@pytest.mark.parametrize(
    ("tell", "said"),
    [
        (lambda: write(5), "text has value 5, but must be a text"),
        (lambda: write("x", artifact=None), "artifact has value None"),
        (lambda: result(5, {}), "name has value 5"),
        (lambda: file(5), "name has value 5"),
        (lambda: file("a", url=b"x"), "url has value b'x'"),
    ],
)
def test_names_and_texts_are_texts(tell: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tell()


def test_what_can_be_emitted_is_not_refused() -> None:
    progress("half", done=1, total=2.5)
    emit("node_start", name="n", agent="other", origin=Origin("t", 1))


def test_a_decimal_is_a_number() -> None:
    emitted = EmittedStatus("progress", None, None, Details(done=Decimal("1.5")))  # type: ignore[arg-type]
    assert checked(emitted).details.done == 1.5


@pytest.mark.parametrize("key", ["seq", "ts", "attempt", "checkpoint", "checkpoints", "shade"])
def test_a_key_that_is_not_the_caller_s_is_refused_by_its_name(key: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{key}'"):
        emit("progress", text="x", **{key: 3})  # type: ignore[arg-type]


NAMES = st.sampled_from(["orchestrator", "peer", "s", "our step", "", "x" * 10_000])
KINDS = st.sampled_from(["node_start", "node_end", "tool_start", "tool_complete", "progress", "attempt", "handoff"])
ODD: st.SearchStrategy[Any] = st.none() | st.integers() | st.floats() | NAMES | st.lists(NAMES, max_size=3)
KEYS = (
    "agent step parent name done total input output error reason supersedes ts at seq attempt asked origin "
    "interrupted checkpoint checkpoints graph"
)
METADATA = st.fixed_dictionaries({"kind": KINDS | ODD}, optional=dict.fromkeys(KEYS.split(), ODD))


@given(st.lists(METADATA | ODD, max_size=8), st.booleans())
async def test_our_log_can_be_read_whatever_another_agent_has_said(told: list[Any], trusted: bool) -> None:
    """From what is forwarded to the past of the task: its own steps stay what they are, and the cursor rises."""
    head = Head(task_id="t", owner="me", context_id="c", agent="orchestrator", fingerprint="")
    source = Source("t", "c", "orchestrator", 1)
    log = MemoryLog()
    written = [
        events.submitted(source, message_of({"text": "hi"})),
        events.status_update(
            source,
            2,
            "tool_start",
            Details(step="our step", name="ask peer", asked=DelegatedTask("http://there/", "theirs")),
        ),
    ]

    def write(kind: Any, *, text: str | None = None, agent: str | None = None, **details: Any) -> None:
        emit(kind, text=text, agent=agent, **details)  # refused, if it cannot be read
        seq = len(written) + 1
        written.append(events.status_update(source, seq, kind, Details(**details), text=text, agent=agent))

    passing = Forwarding("orchestrator", "our step", me="orchestrator", trusted=trusted, since=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forwarding, "emit", write)
        for seq, metadata in enumerate(told, 1):
            update = {"taskId": "theirs", "status": {"state": "TASK_STATE_WORKING"}, "metadata": {EXTENSION: metadata}}
            try:
                event = event_in({"statusUpdate": update}, "http://there/")
            except AgentError:
                continue
            passing.forward("theirs", AgentEvent(seq, event))
    head = await log.create(head, written[0])
    claimed = await log.claim("t", "me", 60)
    await log.append("t", Batch(2, claimed.attempt, written[1:]))
    past = await history_of(log, claimed)
    assert past.steps.keys() == {"our step"}
    assert not past.steps["our step"].ended
    assert not past.superseded
    assert not past.handed_off
    assert past.delegated["our step"].task == "theirs"
    assert past.delegated["our step"].cursor <= len(told)
