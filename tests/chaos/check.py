"""The checker: one function for each promise that the log and the records of the readers can show to be broken.

It uses nothing of the project. Each function asserts one promise (docs/ARCHITECTURE.md,
section 2) and yields the violations of it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

from tests.chaos.history import History, Violation, folded
from tests.chaos.inspector import TERMINAL, WAITING
from tests.chaos.reader import Reader, Visit
from tests.chaos.watch import Orphan

# The kinds of events that are fences: an attempt begins with one of them.
_FENCES = frozenset({"state", "attempt"})
# Two branches write to this artifact, so only the order within each branch's lines is fixed.
_SHARED = "both"
# For how many seconds after its cancel was accepted a run may still end by itself.
_CANCEL_S = 5.0


def check(history: History) -> list[Violation]:
    """Return all violations in one task's history."""
    return [Violation(kind, history.task, what) for rule in RULES for kind, what in rule(history)]


def late(orphan: Orphan, bound_s: float) -> list[Violation]:
    """7: another process continues a task within `bound_s` seconds of its process's death."""
    if orphan.taken_s is not None and orphan.taken_s <= bound_s:
        return []
    taken = "never" if orphan.taken_s is None else f"after {orphan.taken_s:.2f} s"
    return [Violation("late", orphan.root, f"taken over {taken}, not within {bound_s:g} s: {orphan}")]


Findings = Iterator[tuple[str, str]]


def dense(history: History) -> Findings:
    """1: seqs are 1..n, and each event's metadata has its own seq."""
    for expected, entry in enumerate(history.entries, 1):
        if entry.seq != expected:
            yield "hole", f"the log has seq {entry.seq} in the place of {expected}"
            return
        if entry.meta["seq"] != entry.seq:
            yield "hole", f"the event at seq {entry.seq} has seq {entry.meta['seq']} in its metadata"


def append_only(history: History) -> Findings:
    """1: an event that was read from the log stays in the log unchanged."""
    logged = {entry.seq: entry.event for entry in history.entries}
    for entry in history.glimpsed:
        if logged.get(entry.seq) != entry.event:
            yield "lost", f"seq {entry.seq} was in the log, and has been changed or removed since"


def one_writer(history: History) -> Findings:
    """3: after an attempt's fence there are no events of older attempts; each attempt begins with a fence."""
    newest = 0
    for entry in history.entries:
        if entry.attempt != entry.meta["attempt"]:
            yield (
                "fenced",
                f"seq {entry.seq}: the item is of attempt {entry.attempt}, the event of {entry.meta['attempt']}",
            )
        if entry.attempt < newest:
            yield "fenced", f"seq {entry.seq} is of attempt {entry.attempt}, after the fence of attempt {newest}"
        if entry.attempt > newest:
            if entry.meta["kind"] not in _FENCES:
                yield (
                    "fenced",
                    f"attempt {entry.attempt} begins at seq {entry.seq} without a fence, with {entry.meta['kind']}",
                )
            newest = entry.attempt


def one_end(history: History) -> Findings:
    """6: there is at most one terminal event, and no event after it."""
    for entry, later in itertools.pairwise(history.entries):
        if entry.state in TERMINAL:
            yield "ends", f"seq {later.seq} ({later.meta['kind']}) comes after the end at seq {entry.seq}"
            return


def ended(history: History) -> Findings:
    """7: the task and its faithful readers come to an end."""
    if history.state is None:
        last = history.entries[-1] if history.entries else None
        where = f"its last event is {last.seq}: {last.event[:300].decode()}" if last else "it has no events"
        yield "stuck", f"it has no end; {where}"
    for reader in history.readers:
        if reader.faithful and not reader.finished:
            yield "stuck", f"reader {reader.name} never came to an end; it is at seq {reader.visits[-1].last}"


def shown_in_order(history: History) -> Findings:
    """5: a stream shows each event after its cursor once, in order. There are no gaps, since nothing expires here."""
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
            yield (
                "lost",
                f"reader {reader.name}, connection {number}: gaps {visit.gaps} were sent, and nothing has expired",
            )


def shown_is_logged(history: History) -> Findings:
    """2 and 9: every event that a reader saw was in the log before, with the same bytes."""
    logged = {entry.seq: entry.event for entry in history.entries}
    for reader, number, visit in _visits(history):
        for seq, event in visit.shown:
            if logged.get(seq) != event:
                yield "not in the log", f"reader {reader.name}, connection {number}: seq {seq} was {event[:200]!r}"
        if visit.early:
            yield "not in the log", f"reader {reader.name} saw seqs {visit.early} before the log had them"


def cursors_hold(history: History) -> Findings:
    """5: a cursor that came from a stream stays valid."""
    for reader, number, visit in _visits(history):
        if visit.status in (400, 404):
            yield (
                "lost",
                f"reader {reader.name}, connection {number}: cursor {visit.cursor} was answered with {visit.status}",
            )


def everything_shown(history: History) -> Findings:
    """5: a reader that stayed to the end has seen every event after its cursor."""
    for reader in history.readers:
        if reader.faithful and reader.finished:
            seen = {seq for visit in reader.visits for seq, _ in visit.shown}
            missing = [entry.seq for entry in history.entries if entry.seq > reader.cursor and entry.seq not in seen]
            if missing:
                yield "lost", f"reader {reader.name} stayed to the end and never saw {missing[:10]}"


def ends_are_true(history: History) -> Findings:
    """6: a stream sends `end` only after the event with which the task ended or began to wait."""
    logged = {entry.seq: entry for entry in history.entries}
    for reader, number, visit in _visits(history):
        if visit.end is None:
            continue
        where = f"reader {reader.name}, connection {number}: end {visit.end} after seq {visit.last}"
        entry = logged.get(visit.end["seq"])
        if visit.end["seq"] != visit.last or entry is None or entry.state != visit.end["state"]:
            yield "ends", where
        elif entry.state not in TERMINAL and entry.state != WAITING:
            yield "ends", f"{where}, where the task neither ended nor waited"
        if visit.after_end:
            yield "ends", f"{where}, and {visit.after_end} frames after it"


def text_is_whole(history: History) -> Findings:
    """8: the artifacts of a completed task are those of an undisturbed run."""
    if history.expected is None or history.state != "TASK_STATE_COMPLETED":
        return
    artifacts = folded(history.entries)
    for name in sorted(artifacts.keys() | history.expected.keys()):
        actual, expected = artifacts.get(name), history.expected.get(name)
        if name == _SHARED and isinstance(actual, str) and isinstance(expected, str):
            actual, expected = _by_branch(actual), _by_branch(expected)
        if name == "findings" and any(state != "TASK_STATE_COMPLETED" for _, state in history.delegations):
            continue  # A specialist did not complete its task, so its findings are missing.
        if actual != expected:
            yield "text", f"artifact {name!r} is {actual!r}, and in an undisturbed run {expected!r}"


def steps_are_marked(history: History) -> Findings:
    """8: a step begins again only if an attempt has superseded it, and never after it has ended.

    A step with a delegated task is an exception: it continues, and emits a `node_start` with the same step.
    """
    begun: dict[str, str] = {}
    continued = {
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
            before = begun.get(step) if step not in continued else None
            if before == "begun":
                yield (
                    "unmarked",
                    f"step {step} ({meta['name']}) begins again at seq {entry.seq}, and no attempt superseded it",
                )
            elif before == "ended":
                yield "rerun", f"step {step} ({meta['name']}) had ended and begins again at seq {entry.seq}"
            begun[step] = "begun"
        elif meta["kind"] == "node_end":
            begun[step] = "waits" if meta.get("interrupted") or meta.get("error") else "ended"
    if history.state == "TASK_STATE_COMPLETED":
        for step, status in begun.items():
            if status == "begun":
                yield "unmarked", f"step {step} began, and neither ended nor was superseded"


def nodes_run_once(history: History) -> Findings:
    """7: no later attempt runs a node whose result was saved when its process was killed.

    Runs by older attempts, in processes that were stopped meanwhile, do not count.
    """
    for saved in history.saved:
        later = {pid for attempt, pid in history.pids.items() if attempt > saved.attempt}
        later -= {pid for attempt, pid in history.pids.items() if attempt <= saved.attempt}
        again = [run for run in history.runs if run.step == saved.step and run.at > saved.at and run.pid in later]
        if again:
            yield "rerun", f"node {again[0].node} (step {saved.step}) was saved, and was run again {len(again)} times"


def delegated_once(history: History) -> Findings:
    """A specialist gets one task for each delegation, however many attempts there are, and each of these tasks ends."""
    for agent, count in Counter(agent for agent, _ in history.delegations).items():
        if count > 1:
            yield "rerun", f"{agent} got {count} tasks"
    for agent, state in history.delegations:
        if state not in TERMINAL:
            yield "stuck", f"its task at {agent} is {state}"


def cancel_counts(history: History) -> Findings:
    """4: an accepted cancel ends the task as cancelled, and nothing else does."""
    if history.cancel is None:
        if history.state == "TASK_STATE_CANCELED":
            yield "cancel", "it was cancelled without a request"
        return
    status, at = history.cancel.status, history.cancel.at
    if status == 409 and history.state == "TASK_STATE_CANCELED" and history.entries[-1].seq > at:
        yield "cancel", "its cancel was refused, and it was cancelled later"
    if status == 202 and history.state != "TASK_STATE_CANCELED" and history.cancel.went_on_s > _CANCEL_S:
        yield (
            "cancel",
            f"its cancel was accepted at seq {at}; {history.cancel.went_on_s:.1f} s later it {history.state}",
        )


def one_reply_wins(history: History) -> Findings:
    """At most one of two replies is in the log, and the status of each response says whether it is that one.

    Approvals are not among `history.replies`: each of them is a reply of its own, which is in the log once.
    """
    logged = [
        message["messageId"]
        for entry in history.entries[1:]
        if (message := (entry.body.get("statusUpdate") or {}).get("status", {}).get("message"))
        and message["role"] == "ROLE_USER"
    ]
    if len(logged) > (1 if history.replies else len(set(logged))):
        yield "reply", f"{len(logged)} replies are in the log: {logged}"
    if history.replies and not logged and history.state not in ("TASK_STATE_CANCELED", "TASK_STATE_FAILED"):
        yield "reply", f"{len(history.replies)} replies were sent, and none is in the log"
    for reply in history.replies:
        if (reply.message_id in logged) != (reply.status == 202):
            yield "reply", f"reply {reply.message_id} was answered with {reply.status}, and the log has {logged}"


def failed_for_a_reason(history: History) -> Findings:
    """7: a run fails only after three attempts from the same checkpoint."""
    if history.state in (None, "TASK_STATE_COMPLETED", "TASK_STATE_CANCELED"):
        return
    own = [entry.meta for entry in history.entries if "origin" not in entry.meta]  # not of a delegated task
    checkpoints = [meta.get("checkpoint") for meta in own if meta["kind"] == "attempt"]
    gave_up = len(checkpoints) >= 2 and len(set(checkpoints[-2:])) == 1
    if not gave_up:
        yield (
            "failed",
            (
                f"it ended as {history.state} ({history.last_message!r}) after {history.attempts} attempts, "
                f"from the checkpoints {checkpoints}"
            ),
        )


RULES: tuple[Callable[[History], Findings], ...] = (
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
    """Return the lines grouped by branch, each branch's in their order."""
    return sorted(text.splitlines(), key=lambda line: line.partition(" ")[0])
