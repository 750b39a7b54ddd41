"""The checker can fail: each violation that a test plants into a correct history is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.check import check, late
from tests.chaos.history import Cancel, History, Reply, Run, Saved
from tests.chaos.inspector import META, Entry
from tests.chaos.profiles import SHORT
from tests.chaos.reader import Reader, Visit
from tests.chaos.watch import Orphan

Plant = Callable[[History], None]


def entry(seq: int, attempt: int, kind: str, *, state: str = "WORKING", text: str | None = None, **meta: Any) -> Entry:
    """Return an entry of the log with the fields that the checker reads."""
    metadata = {META: {"seq": seq, "attempt": attempt, "agent": "orchestrator", "kind": kind, **meta}}
    status: dict[str, Any] = {"state": f"TASK_STATE_{state}"}
    if kind == "token":
        artifact = {"artifactId": "response", "parts": [{"text": text}]}
        body = {"artifactUpdate": {"artifact": artifact, "append": seq != 4 and seq != 8, "metadata": metadata}}
    elif seq == 1:
        body = {"task": {"status": status, "history": [], "metadata": metadata}}
    else:
        if "reply" in meta:
            status["message"] = {"role": "ROLE_USER", "messageId": meta["reply"]}
        body = {"statusUpdate": {"status": status, "metadata": metadata}}
    return Entry(seq, attempt, json.dumps(body).encode())


def good() -> History:
    """Return a correct history: one takeover, one question with its reply, and two readers.

    The first reader reconnects and stays to the end; the second one leaves.
    """
    entries = [
        entry(1, 0, "state", state="SUBMITTED"),
        entry(2, 1, "state"),
        entry(3, 1, "node_start", step="a", name="opening"),
        entry(4, 1, "token", text="one "),
        entry(5, 1, "node_end", step="a", name="opening"),
        entry(6, 1, "node_start", step="b", name="left"),
        entry(7, 2, "attempt", supersedes=["b"], checkpoint="c1"),
        entry(8, 2, "token", text="one "),
        entry(9, 2, "node_start", step="b", name="left"),
        entry(10, 2, "token", text="two"),
        entry(11, 2, "node_end", step="b", name="left"),
        entry(12, 2, "state", state="INPUT_REQUIRED"),
        entry(13, 3, "state", reply="m1"),
        entry(14, 3, "state", state="COMPLETED"),
    ]
    shown = [(each.seq, each.event) for each in entries]
    waits, ends = {"state": "TASK_STATE_INPUT_REQUIRED", "seq": 12}, {"state": "TASK_STATE_COMPLETED", "seq": 14}
    stays = Reader("stays", "t", 0, finished=True)
    stays.visits = [Visit(0, shown[:5]), Visit(5, shown[5:12], end=waits), Visit(12, shown[12:], end=ends)]
    leaves = Reader("leaves", "t", 0, faithful=False, cursor=3, visits=[Visit(3, shown[3:7])])
    return History(
        task="t",
        agent="orchestrator",
        entries=entries,
        glimpsed=list(entries),
        readers=[stays, leaves],
        expected={"response": "one two"},
        replies=[Reply("m1", "twill", 202), Reply("m2", "satin", 409)],
        saved=[Saved("a", 1, 50.0)],
        runs=[Run("opening", "a", 11, 40.0), Run("left", "b", 12, 60.0)],
        pids={1: 11, 2: 12, 3: 12},
        delegations=[("specialist_one", "TASK_STATE_COMPLETED"), ("specialist_two", "TASK_STATE_FAILED")],
    )


def test_a_correct_history_has_no_violations() -> None:
    assert check(good()) == []


def put(history: History, index: int, *entries: Entry) -> None:
    """Replace the log's entry number `index`, counted from 0, by `entries`, and remove the readers."""
    history.entries[index : index + 1] = entries
    history.glimpsed = list(history.entries)
    history.readers.clear()


def hole(history: History) -> None:
    del history.entries[9]
    history.glimpsed = list(history.entries)


def wrong_seq_inside(history: History) -> None:
    put(history, 9, replace(entry(99, 2, "token", text="two"), seq=10))


def changed_afterwards(history: History) -> None:
    history.glimpsed[9] = entry(10, 2, "token", text="tow")


def gone_afterwards(history: History) -> None:
    history.glimpsed.append(entry(15, 3, "progress"))


def fenced_writer(history: History) -> None:
    put(history, 9, entry(10, 1, "token", text="two"))


def fenced_event_in_a_newer_item(history: History) -> None:
    put(history, 9, replace(entry(10, 1, "token", text="two"), attempt=2))


def attempt_without_fence(history: History) -> None:
    put(history, 6, entry(7, 2, "progress", supersedes=["b"]))


def two_ends(history: History) -> None:
    put(history, 13, entry(14, 3, "state", state="COMPLETED"), entry(15, 3, "state", state="CANCELED"))


def event_after_the_end(history: History) -> None:
    put(history, 13, entry(14, 3, "state", state="COMPLETED"), entry(15, 3, "progress"))


def stuck_task(history: History) -> None:
    put(history, 13)


def stuck_reader(history: History) -> None:
    history.readers[0].finished = False


def skipped(history: History) -> None:
    del history.readers[1].visits[0].shown[1]


def repeated(history: History) -> None:
    shown = history.readers[1].visits[0].shown
    shown.insert(2, shown[1])


def repeated_after_a_cut(history: History) -> None:
    visit = history.readers[0].visits[1]
    visit.shown.insert(0, history.readers[0].visits[0].shown[-1])


def swapped(history: History) -> None:
    shown = history.readers[1].visits[0].shown
    shown[1], shown[2] = shown[2], shown[1]


def gap_sent(history: History) -> None:
    history.readers[1].visits[0].gaps.append((4, 5))


def other_bytes(history: History) -> None:
    shown = history.readers[1].visits[0].shown
    shown[1] = shown[1][0], shown[1][1].replace(b"opening", b"weft")


def seen_and_never_logged(history: History) -> None:
    history.readers[1].visits[0].shown = [(15, b"{}")]
    history.readers[1].visits[0].cursor = 14


def seen_before_logged(history: History) -> None:
    history.readers[1].visits[0].early = [5]


def cursor_refused(history: History) -> None:
    history.readers[1].visits.append(Visit(7, status=400))


def end_of_the_stream_missing(history: History) -> None:
    history.readers[0].visits[2].shown.pop()


def end_too_early(history: History) -> None:
    history.readers[1].visits[0].end = {"state": "TASK_STATE_WORKING", "seq": 7}


def end_with_another_state(history: History) -> None:
    history.readers[0].visits[2].end = {"state": "TASK_STATE_FAILED", "seq": 14}


def frames_after_the_end(history: History) -> None:
    history.readers[0].visits[2].after_end = 1


def doubled_text(history: History) -> None:
    put(history, 9, entry(10, 2, "token", text="one two"))


def lost_text(history: History) -> None:
    put(history, 9, entry(10, 2, "progress"))


def restart_unmarked(history: History) -> None:
    put(history, 6, entry(7, 2, "attempt", supersedes=[], checkpoint="c1"))


def finished_step_again(history: History) -> None:
    put(history, 8, entry(9, 2, "node_start", step="a", name="opening"))


def step_left_open(history: History) -> None:
    put(history, 10, entry(11, 2, "progress"))


def saved_node_again(history: History) -> None:
    history.runs.append(Run("opening", "a", 12, 61.0))


def delegated_twice(history: History) -> None:
    history.delegations.append(("specialist_one", "TASK_STATE_COMPLETED"))


def delegated_task_without_end(history: History) -> None:
    history.delegations[0] = ("specialist_one", "TASK_STATE_WORKING")


def cancelled_without_a_request(history: History) -> None:
    put(history, 13, entry(14, 3, "state", state="CANCELED"))


def cancel_refused_and_done(history: History) -> None:
    cancelled_without_a_request(history)
    history.cancel = Cancel(409, 5)


def cancel_ignored(history: History) -> None:
    history.cancel = Cancel(202, 5, went_on_s=5.1)


def two_replies(history: History) -> None:
    put(history, 13, entry(14, 3, "state", reply="m2"), entry(15, 3, "state", state="COMPLETED"))


def losing_reply_accepted(history: History) -> None:
    history.replies[1].status = 202


def winning_reply_refused(history: History) -> None:
    history.replies[0].status = 409


def every_reply_refused(history: History) -> None:
    put(history, 12, entry(13, 3, "state"))
    history.replies[0].status = 409


def failed_without_need(history: History) -> None:
    put(history, 13, entry(14, 3, "state", state="FAILED"))


PLANTS: dict[Plant, str] = {
    hole: "hole",
    wrong_seq_inside: "hole",
    changed_afterwards: "lost",
    gone_afterwards: "lost",
    fenced_writer: "fenced",
    fenced_event_in_a_newer_item: "fenced",
    attempt_without_fence: "fenced",
    two_ends: "ends",
    event_after_the_end: "ends",
    stuck_task: "stuck",
    stuck_reader: "stuck",
    skipped: "lost",
    repeated: "repeated",
    repeated_after_a_cut: "repeated",
    swapped: "out of order",
    gap_sent: "lost",
    other_bytes: "not in the log",
    seen_and_never_logged: "not in the log",
    seen_before_logged: "not in the log",
    cursor_refused: "lost",
    end_of_the_stream_missing: "lost",
    end_too_early: "ends",
    end_with_another_state: "ends",
    frames_after_the_end: "ends",
    doubled_text: "text",
    lost_text: "text",
    restart_unmarked: "unmarked",
    finished_step_again: "rerun",
    step_left_open: "unmarked",
    saved_node_again: "rerun",
    delegated_twice: "rerun",
    delegated_task_without_end: "stuck",
    cancelled_without_a_request: "cancel",
    cancel_refused_and_done: "cancel",
    cancel_ignored: "cancel",
    two_replies: "reply",
    losing_reply_accepted: "reply",
    winning_reply_refused: "reply",
    every_reply_refused: "reply",
    failed_without_need: "failed",
}


@pytest.mark.parametrize(("plant", "kind"), PLANTS.items(), ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_violation_is_found(plant: Plant, kind: str) -> None:
    history = good()
    plant(history)
    assert kind in {violation.kind for violation in check(history)}


def test_a_stopped_process_that_ends_its_node_late_is_not_a_second_run() -> None:
    history = good()
    history.runs.append(Run("opening", "a", 11, 70.0))  # process 11 ran attempt 1, and was stopped in the middle of it
    assert check(history) == []


def test_a_run_without_progress_in_three_attempts_may_fail() -> None:
    history = good()
    specialists = entry(14, 3, "attempt", supersedes=[], origin={"task": "t", "seq": 4})
    own = [entry(seq, attempt, "attempt", supersedes=[], checkpoint="c1") for seq, attempt in ((13, 3), (15, 4))]
    put(history, 12, own[0], specialists, own[1], entry(16, 4, "state", state="FAILED"))
    del history.entries[-1]
    history.replies, history.glimpsed = [], list(history.entries)
    assert check(history) == []


@pytest.mark.parametrize(
    ("taken_s", "watched", "clock_s", "violations"),
    [
        (2.9, True, 0.0, 0),
        (4.1, True, 0.0, 1),
        (4.1, True, 0.5, 0),
        (4.1, False, 0.0, 0),
        (6.1, False, 0.0, 1),
        (None, True, 0.0, 1),
    ],
    ids=["in time", "late", "with a wrong clock", "by the sweeper", "late by the sweeper", "never"],
)
def test_a_late_takeover_is_found(taken_s: float | None, watched: bool, clock_s: float, violations: int) -> None:
    orphan = Orphan("t", "t", 1, 0.0, 0.0, watched, clock_s=clock_s, taken_s=taken_s)
    assert len(late(orphan, SHORT.bound_s(orphan))) == violations
