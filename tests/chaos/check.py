"""The checker: every promise that the log and the readers' records can prove broken.

It uses nothing of the project. Each function asserts one promise (docs/ARCHITECTURE.md,
section 2) and gives the violations it found.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

from tests.chaos.history import History, Violation, folded
from tests.chaos.inspector import TERMINAL, WAITING
from tests.chaos.reader import Reader, Visit
from tests.chaos.watch import Orphan

# What an attempt may begin with: a fence.
_FENCES = frozenset({"state", "attempt"})
# Both of two branches write here, so only the order of each one's lines is the same every time.
_SHARED = "both"
# How long a run may go on after its cancel was accepted, in s, if it then ends by itself before it notices.
_CANCEL_S = 5.0


def check(history: History) -> list[Violation]:
    """All violations in one task's history."""
    return [Violation(kind, history.task, what) for rule in RULES for kind, what in rule(history)]


def late(orphan: Orphan, bound_s: float) -> list[Violation]:
    """7: a task whose runner died is gone on with in `bound_s`."""
    if orphan.taken_s is not None and orphan.taken_s <= bound_s:
        return []
    taken = "never" if orphan.taken_s is None else f"after {orphan.taken_s:.2f} s"
    return [Violation("late", orphan.root, f"taken over {taken}, not within {bound_s:g} s: {orphan}")]


Found = Iterator[tuple[str, str]]


def dense(history: History) -> Found:
    """1: seqs are 1..n, each item where it says it is."""
    for place, entry in enumerate(history.entries, 1):
        if entry.seq != place:
            yield "hole", f"the log has seq {entry.seq} where {place} belongs"
            return
        if entry.meta["seq"] != entry.seq:
            yield "hole", f"the event at seq {entry.seq} says it is {entry.meta['seq']}"


def append_only(history: History) -> Found:
    """1: what was read of the log once is there for good."""
    there = {entry.seq: entry.event for entry in history.entries}
    for entry in history.glimpsed:
        if there.get(entry.seq) != entry.event:
            yield "lost", f"seq {entry.seq} was in the log and is another one now, or gone"


def one_writer(history: History) -> Found:
    """3: after the fence of an attempt nothing of an older one; each attempt begins with a fence."""
    newest = 0
    for entry in history.entries:
        if entry.attempt != entry.meta["attempt"]:
            yield "fenced", f"seq {entry.seq}: the item is of attempt {entry.attempt}, the event says otherwise"
        if entry.attempt < newest:
            yield "fenced", f"seq {entry.seq} is of attempt {entry.attempt}, after the fence of attempt {newest}"
        if entry.attempt > newest:
            if entry.meta["kind"] not in _FENCES:
                yield "fenced", f"attempt {entry.attempt} begins at seq {entry.seq} with {entry.meta['kind']}, no fence"
            newest = entry.attempt


def one_end(history: History) -> Found:
    """6, and of cancels: at most one terminal event, and nothing after it."""
    for entry, later in itertools.pairwise(history.entries):
        if entry.state in TERMINAL:
            yield "ends", f"seq {later.seq} ({later.meta['kind']}) comes after the end at seq {entry.seq}"
            return


def ended(history: History) -> Found:
    """7: it is not stuck."""
    if history.state is None:
        last = history.entries[-1] if history.entries else None
        where = f"its last event is {last.seq}: {last.event[:300].decode()}" if last else "it has no events"
        yield "stuck", f"it has no end; {where}"
    for reader in history.readers:
        if reader.faithful and not reader.finished:
            yield "stuck", f"reader {reader.name} never came to an end; it is at seq {reader.visits[-1].last}"


def shown_in_order(history: History) -> Found:
    """5: from every cursor each event once, in order, or an explicit gap (of which there is none to have here)."""
    for reader, number, visit in _visits(history):
        expected = visit.cursor + 1
        for seq, _ in visit.shown:
            where = f"reader {reader.name}, connection {number} from {visit.cursor}: seq {seq} instead of {expected}"
            if seq > expected:
                yield "lost", where
            elif seq < expected - 1:
                yield "out of order", where
            elif seq < expected:
                yield "repeated", where
            expected = seq + 1
        if visit.gaps:
            yield "lost", f"reader {reader.name}, connection {number}: gaps {visit.gaps} were sent, which cannot exist"


def shown_is_logged(history: History) -> Found:
    """2 and 9: what anybody saw is in the log, to the byte, and was there before it was seen."""
    there = {entry.seq: entry.event for entry in history.entries}
    for reader, number, visit in _visits(history):
        for seq, event in visit.shown:
            if there.get(seq) != event:
                yield "not in the log", f"reader {reader.name}, connection {number}: seq {seq} was {event[:200]!r}"
        if visit.early:
            yield "not in the log", f"reader {reader.name} saw seqs {visit.early} before the log had them"


def cursors_hold(history: History) -> Found:
    """5: a cursor that came from a stream is good for ever."""
    for reader, number, visit in _visits(history):
        if visit.status in (400, 404):
            yield (
                "lost",
                f"reader {reader.name}, connection {number}: cursor {visit.cursor} was answered with {visit.status}",
            )


def everything_shown(history: History) -> Found:
    """5: who stayed has seen everything."""
    for reader in history.readers:
        if reader.faithful and reader.finished:
            seen = {seq for visit in reader.visits for seq, _ in visit.shown}
            missing = [entry.seq for entry in history.entries if entry.seq > reader.cursor and entry.seq not in seen]
            if missing:
                yield "lost", f"reader {reader.name} stayed to the end and never saw {missing[:10]}"


def ends_are_true(history: History) -> Found:
    """6: a stream says `end` only where the task ended or waited, with the last thing it showed."""
    there = {entry.seq: entry for entry in history.entries}
    for reader, number, visit in _visits(history):
        if visit.end is None:
            continue
        where = f"reader {reader.name}, connection {number}: end {visit.end} after seq {visit.last}"
        entry = there.get(visit.end["seq"])
        if visit.end["seq"] != visit.last or entry is None or entry.state != visit.end["state"]:
            yield "ends", where
        elif entry.state not in TERMINAL and entry.state != WAITING:
            yield "ends", f"{where}, where the task neither ended nor waited"
        if visit.after_end:
            yield "ends", f"{where}, and {visit.after_end} frames after it"


def text_is_whole(history: History) -> Found:
    """8, and 0 lost: what a completed task adds up to is what an undisturbed run gives."""
    if history.expected is None or history.state != "TASK_STATE_COMPLETED":
        return
    given = folded(history.entries)
    for name in sorted(given.keys() | history.expected.keys()):
        here, right = given.get(name), history.expected.get(name)
        if name == _SHARED and isinstance(here, str) and isinstance(right, str):
            here, right = _by_branch(here), _by_branch(right)
        if name == "findings" and any(state != "TASK_STATE_COMPLETED" for _, state in history.delegations):
            continue  # a specialist that gave up: that is in its own history
        if here != right:
            yield "text", f"artifact {name!r} is {here!r}, but undisturbed {right!r}"


def steps_are_marked(history: History) -> Found:
    """8: a step that begins again was named by an attempt as superseded; none begins again that had ended.

    But for one that has asked another agent: it goes on where it was, and says so by the same step.
    """
    begun: dict[str, str] = {}
    goes_on = {
        str(entry.meta.get("parent"))
        for entry in history.entries
        if entry.meta["kind"] == "tool_start" and entry.meta.get("asked")
    }
    for entry in history.entries:
        meta = entry.meta
        if meta["agent"] != history.agent:
            continue
        for step in meta.get("supersedes") or []:
            begun[step] = "superseded"
        step = str(meta.get("step"))
        if meta["kind"] == "node_start":
            before = begun.get(step) if step not in goes_on else None
            if before == "begun":
                yield "unmarked", f"step {step} ({meta['name']}) begins again at seq {entry.seq} and nobody said so"
            elif before == "ended":
                yield "rerun", f"step {step} ({meta['name']}) had ended and begins again at seq {entry.seq}"
            begun[step] = "begun"
        elif meta["kind"] == "node_end":
            begun[step] = "waits" if meta.get("interrupted") or meta.get("error") else "ended"
    if history.state == "TASK_STATE_COMPLETED":
        for step, how in begun.items():
            if how == "begun":
                yield "unmarked", f"step {step} began, and neither ended nor was superseded"


def nodes_run_once(history: History) -> Found:
    """7: a node whose outcome was saved when its process was killed is not run by a later attempt.

    What an older attempt, a zombie, still does with it counts for nothing.
    """
    for saved in history.saved:
        later = {pid for attempt, pid in history.pids.items() if attempt > saved.attempt}
        later -= {pid for attempt, pid in history.pids.items() if attempt <= saved.attempt}
        again = [run for run in history.runs if run.step == saved.step and run.at > saved.at and run.pid in later]
        if again:
            yield "rerun", f"node {again[0].node} (step {saved.step}) was saved, and run {len(again)} times more"


def delegated_once(history: History) -> Found:
    """A specialist is asked once for a delegated task, however many attempts the asking takes; and it ends too."""
    for agent, count in Counter(agent for agent, _ in history.delegations).items():
        if count > 1:
            yield "rerun", f"{agent} was asked {count} times"
    for agent, state in history.delegations:
        if state not in TERMINAL:
            yield "stuck", f"its task at {agent} is {state}"


def cancel_counts(history: History) -> Found:
    """4: an accepted cancel ends the task; nothing else does."""
    if history.cancel is None:
        if history.state == "TASK_STATE_CANCELED":
            yield "cancel", "it was cancelled, and nobody had asked for that"
        return
    status, at = history.cancel.status, history.cancel.at
    if status == 409 and history.state == "TASK_STATE_CANCELED" and history.entries[-1].seq > at:
        yield "cancel", "its cancel was refused, and it was cancelled afterwards"
    if status == 202 and history.state != "TASK_STATE_CANCELED" and history.cancel.went_on_s > _CANCEL_S:
        yield (
            "cancel",
            f"its cancel was accepted at seq {at}; {history.cancel.went_on_s:.1f} s later it {history.state}",
        )


def one_reply_wins(history: History) -> Found:
    """Of two replies one is in the log, and the response to each sender says which."""
    logged = [
        message["messageId"]
        for entry in history.entries[1:]
        if (message := (entry.body.get("statusUpdate") or {}).get("status", {}).get("message"))
        and message["role"] == "ROLE_USER"
    ]
    if len(logged) > 1:
        yield "reply", f"{len(logged)} replies are in the log: {logged}"
    if history.replies and not logged and history.state not in ("TASK_STATE_CANCELED", "TASK_STATE_FAILED"):
        yield "reply", f"{len(history.replies)} replies were sent, and none was taken"
    for reply in history.replies:
        if (reply.message_id in logged) != (reply.status == 202):
            yield "reply", f"reply {reply.message_id} was answered with {reply.status}, and the log has {logged}"


def failed_for_a_reason(history: History) -> Found:
    """7: a run that can go on does: it fails only after three attempts from the same checkpoint."""
    if history.state in (None, "TASK_STATE_COMPLETED", "TASK_STATE_CANCELED"):
        return
    marks = [entry.meta.get("checkpoint") for entry in history.entries if entry.meta["kind"] == "attempt"]
    gave_up = len(marks) >= 2 and len(set(marks[-2:])) == 1
    if not gave_up:
        yield "failed", f"it ended as {history.state} ({history.said!r}) after {history.attempts} attempts, at {marks}"


RULES: tuple[Callable[[History], Found], ...] = (
    dense,
    append_only,
    one_writer,
    one_end,
    ended,
    shown_in_order,
    shown_is_logged,
    cursors_hold,
    everything_shown,
    ends_are_true,
    text_is_whole,
    steps_are_marked,
    nodes_run_once,
    delegated_once,
    cancel_counts,
    one_reply_wins,
    failed_for_a_reason,
)


def _visits(history: History) -> Iterator[tuple[Reader, int, Visit]]:
    for reader in history.readers:
        for number, visit in enumerate(reader.visits, 1):
            yield reader, number, visit


def _by_branch(text: str) -> list[str]:
    """The lines, each branch's together and in their own order."""
    return sorted(text.splitlines(), key=lambda line: line.partition(" ")[0])
