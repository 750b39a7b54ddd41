"""A summary of a task's history stands for the events that it was made of, and is never believed over the log."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from tailrace import progress
from tailrace.agent.recovery import summary as summaries
from tailrace.agent.recovery.history import History, _note, history_of
from tailrace.agent.recovery.summary import Content, SummaryKeeper, history_so_far, merged, packed
from tailrace.agent.recovery.takeover import take_over
from tailrace.errors import LogUnavailable
from tailrace.events import (
    Cost,
    DelegatedTask,
    Details,
    Kind,
    Origin,
    Part,
    Source,
    Usage,
    artifact_update,
    status_update,
    submitted,
)
from tailrace.log import Batch, EventLog, Head
from tailrace.log.memory import MemoryLog
from tailrace.log.summaries import Summary
from tests.support.conditions import eventually
from tests.support.events import message_of, state_of
from tests.support.in_process import agent

HEAD = Head(task_id="t", owner="o", context_id="c", agent="a")
STEPS, NAMES, ODD = st.sampled_from("stuv"), st.sampled_from(["plan", "work"]), st.text(max_size=8)
MAYBE_STEP = st.none() | STEPS
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ODD
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ODD, inner, max_size=2), max_leaves=4
)

# Makes the event with a seq of an attempt.
Make = Callable[[Source, int], bytes]


def status(kind: Kind, **options: Any) -> Make:
    return lambda source, seq: status_update(source, seq, kind, **options)


def artifact(kind: Kind, name: str, part: Part, **options: Any) -> Make:
    return lambda source, seq: artifact_update(source, seq, kind, name, part, **options)


def details(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Details]:
    return st.builds(Details, **fields)


ASKED = st.builds(DelegatedTask, st.just("http://other/"), st.sampled_from("xy"), since=st.integers(0, 9))
ORIGIN = st.builds(Origin, st.sampled_from("xy"), st.integers(1, 9))
COST = st.none() | st.builds(Cost, st.floats(0, 99), st.none() | st.integers(0, 9))
WAYS: st.SearchStrategy[Make] = st.one_of(
    st.builds(status, st.sampled_from(["node_start", "tool_start"]),
              details=details(step=STEPS, parent=MAYBE_STEP, name=NAMES, asked=st.none() | ASKED)),
    st.builds(status, st.sampled_from(["node_end", "tool_complete"]),
              details=details(step=STEPS, interrupted=st.none() | st.just(True))),
    st.builds(artifact, st.just("token"), NAMES, st.builds(Part, text=ODD), append=st.booleans(), step=MAYBE_STEP,
              parent=MAYBE_STEP, message=st.none() | ODD),
    st.builds(artifact, st.just("result"), NAMES, st.builds(Part, data=JSON), step=MAYBE_STEP),
    st.builds(status, st.just("usage"), details=details(name=NAMES, usage=st.builds(Usage, st.integers(0, 9)))),
    st.builds(status, st.just("progress"), details=details(origin=ORIGIN), agent=st.sampled_from(["other", "a"])),
    st.builds(status, st.just("progress"), details=details(step=MAYBE_STEP, done=st.none() | st.integers(0, 9)),
              text=st.none() | ODD, data=JSON, agent=st.none() | st.just("other")),
    st.builds(status, st.just("handoff"), details=details(cost=COST)),
    st.builds(status, st.just("state"), state=st.sampled_from(["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_WORKING"]),
              text=st.none() | ODD, data=JSON, details=details(cost=COST)),
    st.builds(lambda text, name: status("state", message=message_of({"text": text}, message_id=name)), ODD, ODD),
)  # fmt: skip
FENCE = st.builds(
    lambda fence: status("attempt", details=fence),
    details(
        checkpoint=st.none() | ODD,
        checkpoints=st.none() | st.dictionaries(ODD, ODD, max_size=2),
        thread=st.none() | st.just("thread"),
        reason=st.sampled_from(["worker lost", "handoff"]),
        supersedes=st.none() | st.lists(STEPS, max_size=2),
    ),
)


@st.composite
def logs(draw: st.DrawFn) -> list[Batch]:
    """Any events of one attempt after the other, in batches; each attempt begins with its fence."""
    batches = [Batch(1, 0, [submitted(HEAD.source, message_of({"data": draw(JSON)}))])]
    for attempt in range(1, draw(st.integers(1, 3)) + 1):
        source = Source("t", "c", "a", attempt)
        for ways in [[draw(FENCE)], *draw(st.lists(st.lists(WAYS, min_size=1, max_size=4), max_size=5))]:
            seq = batches[-1].last + 1
            batches.append(Batch(seq, attempt, [make(source, seq + n) for n, make in enumerate(ways)]))
    return batches


def attempt_of(*ways: Make) -> list[Batch]:
    """The events of a task's only attempt, after its fence."""
    source = Source("t", "c", "a", 1)
    events = [make(source, seq) for seq, make in enumerate((status("attempt"), *ways), 2)]
    return [
        Batch(1, 0, [submitted(HEAD.source, message_of({"text": "hello"}))]),
        *(Batch(seq, 1, [event]) for seq, event in enumerate(events, 2)),
    ]


async def log_of(batches: Sequence[Batch]) -> MemoryLog:
    log = MemoryLog()
    await log.create(HEAD, batches[0].events[0])
    await append(log, batches[1:])
    return log


async def append(log: EventLog, batches: Sequence[Batch]) -> None:
    for batch in batches:
        await log.append("t", batch)


def with_texts_joined(history: History) -> History:
    texts = {artifact: merged(pieces) for artifact, pieces in history.texts.items()}
    return msgspec.structs.replace(history, texts=texts)


async def kept(log: EventLog) -> Head:
    """Keep a summary of all that the log has. Return the task's head after that."""
    history = await history_of(log, HEAD)
    (batch, *_) = await log.read("t", history.last - 1)
    content = packed(history, summaries.digest(batch.events[0]))
    assert content is not None
    await log.summaries.keep("t", (await log.head("t")).attempt, Summary(history.last, content))
    return await log.head("t")


DELEGATED = status("tool_start", details=Details(step="s", asked=DelegatedTask("http://other/", "x")))
FORWARDED = status("progress", details=Details(origin=Origin("x", 3)), agent="a")


@settings(max_examples=100, deadline=None)
@example(batches=attempt_of(DELEGATED, FORWARDED))  # an agent may ask itself
@example(batches=attempt_of(status("handoff"), status("progress", text="late")))
@given(batches=logs())
async def test_events_that_need_not_be_decoded_say_what_they_say_when_they_are(batches: list[Batch]) -> None:
    decoded = History()
    for batch in batches:
        for seq, event in enumerate(batch.events, batch.seq):
            _note(decoded, HEAD, seq, event)
            decoded.last = seq
    assert await history_of(await log_of(batches), HEAD) == decoded


@settings(max_examples=40, deadline=None)
@given(batches=logs(), cut=st.integers(1, 100))
async def test_a_summary_and_the_rest_are_what_the_whole_log_is(batches: list[Batch], cut: int) -> None:
    cut = 1 + cut % len(batches)
    log = await log_of(batches[:cut])
    await kept(log)
    await append(log, batches[cut:])
    head = await log.head("t")
    assert head.summary == batches[cut - 1].last
    whole = await history_of(log, head)
    assert with_texts_joined(await history_so_far(log, head)) == with_texts_joined(whole)
    assert whole.last == batches[-1].last


def without_words(schema: Any) -> Any:
    """A JSON Schema without the docstrings of its types."""
    if isinstance(schema, dict):
        return {key: without_words(value) for key, value in schema.items() if key != "description"}
    return [without_words(each) for each in schema] if isinstance(schema, list) else schema


def test_a_change_of_what_a_history_holds_is_a_new_version() -> None:
    """A summary of another version is not read. So this figure changes only together with `VERSION`."""
    schema = msgspec.json.encode(without_words(msgspec.json.schema(Content)), order="sorted")
    assert (summaries.VERSION, hashlib.sha256(schema).hexdigest()[:16]) == (5, "8c97660a0157ebc2")


async def until_made() -> None:
    """Wait until no summary is being made."""
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "summary t"))


class CountingLog(MemoryLog):
    """A log that counts the events that are read, and notes after which cursors."""

    read_events = 0

    def __init__(self) -> None:
        super().__init__()
        self.cursors: list[int] = []

    async def read(self, task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
        batches = await super().read(task_id, cursor, limit)
        self.cursors.append(cursor)
        self.read_events += sum(len(batch.events) for batch in batches)
        return batches


async def long_log() -> CountingLog:
    """A task with 400 events, a summary of the first 300, and an attempt that was lost."""
    log = CountingLog()
    await log.create(HEAD, submitted(HEAD.source, message_of({"text": "go"})))
    attempt = await log.claim("t", "lost", 0)
    for first in range(2, 402, 100):
        texts = [
            artifact_update(attempt.source, seq, "token", "response", Part(text=f"{seq} "), append=seq > 2, step="s")
            for seq in range(first, first + 100)
        ]
        await log.append("t", Batch(first, 1, texts))
        if first == 202:
            await kept(log)
    log.read_events = 0
    return log


async def test_a_takeover_with_a_summary_reads_what_came_since() -> None:
    log = await long_log()
    takeover = await take_over(log, InMemorySaver(), await log.claim("t", "me", 10), "worker lost", None)
    assert takeover is not None
    assert "".join(piece.text for piece in takeover.history.texts["response"]).split() == [
        str(seq) for seq in range(2, 402)
    ]
    assert log.read_events == 101, "and the event with which the summary ends"


def changed(content: bytes, **fields: Any) -> bytes:
    plain = msgspec.json.decode(zlib.decompress(content))
    return zlib.compress(msgspec.json.encode({**plain, **fields}))


@pytest.mark.parametrize("spoil", [
    lambda good: None,
    lambda good: Summary(good.last, b"damaged"),
    lambda good: Summary(good.last, zlib.compress(b"{}")),
    lambda good: Summary(good.last, zlib.compress(b"\xff")),
    lambda good: Summary(good.last, good.content[:-9]),
    lambda good: Summary(good.last, changed(good.content, version=summaries.VERSION + 1)),
    lambda good: Summary(good.last, changed(good.content, version=summaries.VERSION + 1, history=None)),
    lambda good: Summary(good.last, changed(good.content, end=summaries.digest(b"another event"))),
    lambda good: Summary(good.last, changed(good.content, history={"last": "seven"})),
    lambda good: Summary(good.last - 1, good.content),
    lambda good: Summary(good.last + 1, good.content),
    lambda good: Summary(10_000, good.content),
], ids=["missing", "damaged", "empty", "no text", "cut off", "of a later version", "of a later version's shape",
        "of another log", "of another shape", "that ends earlier", "that ends later", "past the end"])  # fmt: skip
async def test_a_summary_that_does_not_fit_is_not_believed(spoil: Callable[[Summary], Summary | None]) -> None:
    log = await long_log()
    good = await log.summaries.get("t")
    assert good is not None
    log.summaries.forget("t")
    if (spoiled := spoil(good)) is not None:
        await log.summaries.keep("t", 1, spoiled)
    head = await log.head("t")
    log.read_events = 0
    assert await history_so_far(log, head) == await history_of(log, head)
    assert log.read_events >= 2 * 401, "both have read the whole log"


async def test_a_summary_that_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await long_log()
    before = await log.summaries.get("t")
    monkeypatch.setattr(summaries, "MAX_SUMMARY_BYTES", 100)
    monkeypatch.setattr(summaries, "EVERY", 50)
    keeper = SummaryKeeper(log, await log.head("t"))
    for _ in range(2):
        keeper.published(401)
        await until_made()
    assert await log.summaries.get("t") == before
    assert log.read_events < 300, "and it is tried once"
    await keeper.close()


async def test_a_log_that_is_away_costs_a_summary_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await long_log()
    keep = log.summaries.keep

    async def away(*_: Any) -> None:
        raise LogUnavailable("away")

    monkeypatch.setattr(log.summaries, "keep", away)
    monkeypatch.setattr(summaries, "EVERY", 80)
    keeper = SummaryKeeper(log, await log.head("t"))
    keeper.published(401)
    await until_made()
    assert (await log.head("t")).summary == 301
    monkeypatch.setattr(log.summaries, "keep", keep)
    keeper.published(402)
    await until_made()
    assert (await log.head("t")).summary == 301, "it waits for as many events as before"
    keeper.published(461)
    await until_made()
    assert (await log.head("t")).summary == 401
    await keeper.close()


async def test_a_run_keeps_summaries_and_its_next_attempt_reads_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt is stopped while its node works."""
    monkeypatch.setattr(summaries, "EVERY", 100)
    log, stopped = CountingLog(), False

    async def work(state: MessagesState) -> None:
        while not stopped:
            progress("on")
            await asyncio.sleep(0.001)

    builder = StateGraph(MessagesState).add_node(work).add_edge(START, "work")
    async with agent(builder, log=log) as first:
        task_id = (await first.begin("go"))["id"]

        async def kept_enough() -> bool:
            return (await log.head(task_id)).summary >= 200

        await eventually(kept_enough)
    stopped, log.cursors = True, []
    summary = (await log.head(task_id)).summary
    async with agent(builder, log=log) as second:
        last = await log.last(task_id)
        frames = await second.frames("SubscribeToTask", {"id": task_id}, cursor=last)
        assert state_of(frames[-1].result) == "TASK_STATE_COMPLETED"
    assert min(log.cursors) == summary - 1 >= 199
