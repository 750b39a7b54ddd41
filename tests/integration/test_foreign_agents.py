"""Whatever another agent sends becomes its answer or a line in the report; the task completes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator import graph as orchestrator
from tailrace.a2a import received, remote_task
from tailrace.authoring import forwarding
from tailrace.events import EXTENSION
from tailrace.owner import OWNER_HEADER
from tests.support.events import metadata
from tests.support.foreign_agents import (
    ANSWERED,
    DONE,
    LOGS,
    SAID,
    TASK,
    WORKING,
    Peer,
    asked,
    error,
    held,
    reported,
    result,
    served,
    stream,
)
from tests.support.in_process import system

TEXT = "Disk sdb is full."
BEGUN = {"task": WORKING}
ARTIFACT = {"artifactUpdate": {"taskId": "t", "contextId": "c", "artifact": SAID, "lastChunk": True}}
ENDED = {"statusUpdate": {"taskId": "t", "contextId": "c", "status": DONE["status"]}}
WHOLE = stream(BEGUN, ARTIFACT, ENDED)
PART_V0_3 = {"kind": "text", "text": TEXT}
EVENTS_V0_3 = [
    {"kind": "task", **TASK, "status": {"state": "submitted"}, "artifacts": None, "history": None},
    {"kind": "artifact-update", "taskId": "t", "contextId": "c", "artifact": {"artifactId": "a", "parts": [PART_V0_3]}},
    {"kind": "status-update", "taskId": "t", "contextId": "c", "status": {"state": "completed"}, "final": True},
]
TASK_V0_3 = {
    **EVENTS_V0_3[0],
    "status": {"state": "completed"},
    "artifacts": [{"artifactId": "a", "parts": [PART_V0_3]}],
}
BEFORE_0_2_1 = [
    {"id": "t", "status": {"state": "working"}, "final": False},
    {"id": "t", "status": {"state": "completed"}, "final": True},
]
SNAKE = [
    {"task": {"id": "t", "context_id": "c", "status": WORKING["status"]}},
    {"artifact_update": {"task_id": "t", "artifact": {"artifact_id": "a", "parts": SAID["parts"]}}},
    {"status_update": {"task_id": "t", "status": {**DONE["status"], "message": None}, "metadata": None}},
]


@pytest.fixture(autouse=True)
def _come_back_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_task, "PAUSE_S", 0.001)
    monkeypatch.setattr(remote_task, "LONGEST_PAUSE_S", 0.001)
    monkeypatch.setattr(remote_task, "POLL_S", 0.001)


ANSWERS: dict[str, tuple[Peer, list[str]]] = {
    "text": (Peer(SendStreamingMessage=WHOLE, GetTask=result(ANSWERED)), ["SendStreamingMessage", "GetTask"]),
    "text of 0.3": (
        Peer(message_stream=stream(*EVENTS_V0_3), tasks_get=result(TASK_V0_3)),
        ["SendStreamingMessage", "message/stream", "tasks/get"],
    ),
    "0.3, its JSON over several lines": (
        Peer(message_stream=stream(*EVENTS_V0_3, indent=2), tasks_get=result(TASK_V0_3)),
        ["SendStreamingMessage", "message/stream", "tasks/get"],
    ),
    "a card that says it does not stream": (
        Peer({"capabilities": {"streaming": False}}, SendMessage=result({"task": WORKING}), GetTask=result(ANSWERED)),
        ["SendMessage", "GetTask"],
    ),
    "a card that does not say whether it streams": (
        Peer(SendStreamingMessage=error(-32004), SendMessage=result({"task": ANSWERED}), GetTask=result(ANSWERED)),
        ["SendStreamingMessage", "SendMessage", "GetTask"],
    ),
    "a task that it has forgotten": (
        Peer(SendStreamingMessage=WHOLE, GetTask=error(-32001)),
        ["SendStreamingMessage", "GetTask"],
    ),
    "a redirect on its own origin": (
        Peer(path="/moved", SendStreamingMessage=WHOLE, GetTask=result(ANSWERED)),
        ["SendStreamingMessage", "GetTask"],
    ),
    "lines that end with CR": (
        Peer(SendStreamingMessage=stream({"message": {"role": "ROLE_AGENT", "parts": SAID["parts"]}}, end="\r")),
        ["SendStreamingMessage"],
    ),
    "the proto's names, and null for what is not given": (
        Peer(SendStreamingMessage=stream(*SNAKE), GetTask=error(-32001)),
        ["SendStreamingMessage", "GetTask"],
    ),
    "an artifact that begins with append": (
        Peer(
            SendStreamingMessage=stream(
                BEGUN, {"artifactUpdate": {**ARTIFACT["artifactUpdate"], "append": True}}, ENDED
            ),
            GetTask=result(DONE),
        ),
        ["SendStreamingMessage", "GetTask"],
    ),
    "an event that cannot be read, and a task that can": (
        Peer(
            SendStreamingMessage=stream(BEGUN, {"statusUpdate": {"taskId": "t", "status": 5}}), GetTask=result(ANSWERED)
        ),
        ["SendStreamingMessage", "GetTask"],
    ),
    "a card with null for what is not given": (
        Peer({"description": None, "capabilities": None}, SendStreamingMessage=WHOLE, GetTask=result(ANSWERED)),
        ["SendStreamingMessage", "GetTask"],
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_is_accepted_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    peer, methods = ANSWERS[name]
    peer.asked.clear()
    async with asked(tmp_path, monkeypatch, peer) as sut:
        report, _ = await reported(sut)
    assert TEXT in report
    assert peer.asked == methods
    assert all(OWNER_HEADER not in headers for headers in peer.headers)


def status(**changes: Any) -> dict[str, Any]:
    return {"statusUpdate": {"taskId": "t", "status": {"state": "TASK_STATE_WORKING"}, **changes}}


LINES: dict[str, tuple[Peer, str]] = {
    "events before 0.2.1": (Peer(SendStreamingMessage=stream(*BEFORE_0_2_1)), "not an event of A2A"),
    "a stream that ends before it names a task": (Peer(SendStreamingMessage=stream()), "without naming a task"),
    "a message that is text": (
        Peer(SendStreamingMessage=stream({"task": {**DONE, "status": {**DONE["status"], "message": "boo"}}})),
        "$.task.status.message",
    ),
    "parts that are numbers": (
        Peer(SendStreamingMessage=stream({"task": {**DONE, "artifacts": [{**SAID, "parts": [5]}]}})),
        "$.task.artifacts[0].parts[0]",
    ),
    "skills that are text": (Peer({"skills": ["logs"]}), "$.skills[0]"),
    "a name that is a number": (Peer({"name": 5}), "$.name"),
    "a redirect elsewhere": (Peer(path="/away"), "redirects to"),
    "an error with a long text": (Peer(SendStreamingMessage=error(-32602, "x" * 10_000)), "xxx…"),
    "another task than ours": (
        Peer(
            SendStreamingMessage=stream(BEGUN), SubscribeToTask=error(-32004), GetTask=result({**ANSWERED, "id": "u"})
        ),
        "another task",
    ),
    "a task's id without end": (
        Peer(SendStreamingMessage=stream({"task": {**BEGUN["task"], "id": "t" * 2_000_000}})),
        "an id of more than 1,000 characters",
    ),
    "a result of another kind": (Peer(SendStreamingMessage=result(ANSWERED)), "not a stream"),
}


@pytest.mark.parametrize("name", LINES)
async def test_an_unreadable_answer_is_named_in_the_report_and_not_requested_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    peer, line = LINES[name]
    async with asked(tmp_path, monkeypatch, peer) as sut:
        report, _ = await reported(sut)
    assert line in report
    assert TEXT not in report
    assert peer.asked.count("SendStreamingMessage") <= 1


async def test_the_report_uses_the_streamed_answer_if_the_task_is_too_large_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = {**ANSWERED, "artifacts": [{**SAID, "parts": [{"text": "x" * 17_000_000}]}]}
    peer = Peer(SendStreamingMessage=WHOLE, GetTask=result(large))
    async with asked(tmp_path, monkeypatch, peer) as sut:
        report, _ = await reported(sut)
    assert TEXT in report
    assert "could not be fetched" in report
    assert "more than 16,000,000 bytes" in report


async def test_an_agent_that_floods_events_is_throttled_and_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "MAX_EVENTS", 2_500)
    monkeypatch.setattr(forwarding, "MAX_EVENTS", 10)
    status_message = {"role": "ROLE_AGENT", "parts": [{"text": "still here"}]}
    update = {"statusUpdate": {"taskId": "t", "status": {**WORKING["status"], "message": status_message}}}
    peer = Peer(SendStreamingMessage=stream(BEGUN, *[update] * 2_500), CancelTask=result(DONE))
    async with asked(tmp_path, monkeypatch, peer) as sut:
        report, seen = await reported(sut)
    assert "it sent more than 2,500 events, and was given up" in report
    assert "more than 1,000 events a second, and was read no faster" in report
    assert "Only the first 10 of its steps are shown" in report
    assert len([event for event in seen.events if "still here" in str(event)]) == 10
    assert peer.asked == ["SendStreamingMessage", "CancelTask"]


async def test_a_specialist_that_exceeds_its_time_limit_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Peer(
        SendStreamingMessage=stream(BEGUN),
        SubscribeToTask=error(-32004),
        GetTask=result(WORKING),
        CancelTask=result(DONE),
    )
    async with asked(tmp_path, monkeypatch, peer, TAILRACE_SPECIALIST_S="1") as sut:
        report, _ = await reported(sut)
    assert "not done within 1 s (TAILRACE_SPECIALIST_S)" in report
    assert peer.asked[-1] == "CancelTask"


HOSTILE = [
    {},
    {"kind": 5},
    {"kind": "node_start"},
    {"kind": "node_start", "name": 5, "step": "s", "ts": 1, "agent": "peer", "seq": 1},
    {"kind": "node_start", "name": "n", "step": "s", "ts": 1, "agent": "orchestrator", "seq": 1},
    {"kind": "tool_start", "name": "n", "step": "s", "ts": 1, "asked": {"url": "http://127.0.0.1:1/", "task": "u"}},
    {"kind": "node_end", "name": "n", "step": "s", "ts": -1},
    {"kind": "progress", "done": 10**300, "total": "many"},
    {"kind": "attempt", "supersedes": [5], "reason": {}},
    {"kind": "handoff", "agent": "orchestrator"},
    {"kind": "state", "agent": "orchestrator"},
    [],
    "x",
]


async def test_a_foreign_agent_cannot_forge_our_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [status(metadata={EXTENSION: details}) for details in HOSTILE]
    peer = Peer(
        {"name": "orchestrator"},
        SendStreamingMessage=stream(BEGUN, *events, ENDED, ours=True),
        GetTask=result(ANSWERED),
    )
    async with asked(tmp_path, monkeypatch, peer) as sut:
        report, seen = await reported(sut)
    assert TEXT in report
    details = list(map(metadata, seen.events))
    passed_on = [each for each in details if "origin" in each]
    assert passed_on
    assert {each["agent"] for each in passed_on} == {"orchestrator (another)"}
    own_steps = {each["step"] for each in details if "origin" not in each and "step" in each}
    assert not own_steps & {each["step"] for each in passed_on if "step" in each}
    seqs = [each["origin"]["seq"] for each in passed_on]
    assert seqs == sorted(set(seqs))


async def test_a_run_with_hostile_forwarded_events_can_be_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    events = [BEGUN, *(status(metadata={EXTENSION: details}) for details in HOSTILE)]
    peer = Peer(
        {"name": "orchestrator"},
        SendStreamingMessage=held(stream(*events, ours=True), gate),
        SubscribeToTask=stream(*events, ENDED, ours=True),
        GetTask=result(ANSWERED),
    )
    async with served(monkeypatch, peer):
        async with system(orchestrator.builder, tmp_path) as first:
            task_id = await first.post({"text": "what happened?"}, LOGS)
            before = await first.read(task_id, until=lambda seen: "handoff" in map(kind_of, seen.events))
        gate.set()
        async with system(orchestrator.builder, tmp_path) as second:
            after = await second.read(task_id, cursor=before.seqs[-1])
    assert after.state == "TASK_STATE_COMPLETED"
    details = list(map(metadata, [*before.events, *after.events]))
    assert [each["attempt"] for each in details if each["kind"] == "attempt" and "origin" not in each] == [2]
    origins = [each["origin"]["seq"] for each in details if "origin" in each]
    assert origins == sorted(set(origins)), "an event was forwarded twice"
    assert peer.asked.count("SendStreamingMessage") == 1


def kind_of(event: dict[str, Any]) -> str:
    return str(metadata(event)["kind"])
