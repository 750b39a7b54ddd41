"""Messages: who may see a task, what a repeated message does, and which replies are accepted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tailrace.log import Head
from tailrace.log.memory import MemoryLog
from tailrace.log.sqlite import SQLiteLog
from tests.sample_agents.hello_world import TEXT, hello_world
from tests.support import in_process
from tests.support.conditions import eventually
from tests.support.events import artifact_text, message, metadata, of_kind, state_of
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent

DONE, ASKED, CANCELED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_CANCELED"


@pytest.fixture(params=["memory", "sqlite"], autouse=True)
def _log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with both logs: the memory log never awaits, the SQLite log always does."""
    if request.param == "sqlite":
        monkeypatch.setattr(in_process, "new_log", lambda: SQLiteLog(tmp_path / "log.sqlite3"))


async def asked(served: Agent) -> dict[str, Any]:
    """Create a task that waits for input; return it."""
    task = (await served.result("SendMessage", {"message": message("ask")}))["task"]
    assert task["status"]["state"] == ASKED
    return dict(task)


# Owners


async def test_another_owners_task_looks_unknown() -> None:
    async with agent(hello_world()) as served:
        hers = await asked(served)
        other = {"x_tailrace_owner": "mallory"}
        for method, params in (
            ("GetTask", lambda task: {"id": task}),
            ("CancelTask", lambda task: {"id": task}),
            ("SubscribeToTask", lambda task: {"id": task}),
            ("SendMessage", lambda task: {"message": message("mine now", taskId=task)}),
            ("SendStreamingMessage", lambda task: {"message": message("mine now", taskId=task)}),
        ):
            unknown = "".join("0" if each != "-" else each for each in hers["id"])
            refused = await served.error(method, params(hers["id"]), **other)
            never = await served.error(method, params(unknown), **other)
            assert refused["code"] == -32001
            assert refused == {**never, "message": never["message"].replace(unknown, hers["id"])}
        assert (await served.result("ListTasks", {}, **other))["tasks"] == []
        assert [each["id"] for each in (await served.result("ListTasks", {}))["tasks"]] == [hers["id"]]
        assert len(await served.events(hers["id"])) == hers["metadata"]["urn:tailrace:a2a:resume:1"]["seq"]


async def test_the_same_message_id_from_two_owners_makes_two_tasks() -> None:
    async with agent(hello_world()) as served:
        params = {"message": message("hello", messageId="m-1")}
        tasks = [(await served.result("SendMessage", params, x_tailrace_owner=name))["task"] for name in ("ann", "bob")]
    assert tasks[0]["id"] != tasks[1]["id"]


# Repeated messages


async def test_the_same_message_twice_starts_one_run() -> None:
    async with agent(hello_world()) as served:
        params = {"message": message("hello")}
        tasks = [
            each["task"] for each in await asyncio.gather(*(served.result("SendMessage", params) for _ in range(8)))
        ]
        events = await served.events(tasks[0]["id"])
    assert all(task == tasks[0] for task in tasks)
    assert tasks[0]["status"]["state"] == DONE
    assert len(of_kind(events, "node_start")) == 3
    assert {metadata(event)["attempt"] for event in events} == {0, 1}


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
async def test_another_message_with_the_same_id_is_refused(method: str) -> None:
    async with agent(hello_world()) as served:
        task = (await served.result("SendMessage", {"message": message("ask", messageId="m-1")}))["task"]
        before = await served.events(task["id"])
        error = await served.error(method, {"message": message("other", messageId="m-1")})
        assert error["code"] == -32602
        assert "'m-1'" in error["message"]
        error = await served.error(method, {"message": message("other", messageId="m-1", taskId=task["id"])})
        assert error["code"] == -32602
        assert await served.events(task["id"]) == before


async def test_a_reply_sent_twice_is_accepted_once() -> None:
    async with agent(hello_world()) as served:
        task = await asked(served)
        reply = {"message": message("payments", taskId=task["id"])}
        first, second = await asyncio.gather(*(served.result("SendMessage", reply) for _ in range(2)))
        again = (await served.result("SendMessage", reply))["task"]
        events = await served.events(task["id"])
    assert first["task"] == second["task"] == again
    assert artifact_text(events) == f"{TEXT}\n\nIt is payments."
    assert [metadata(event)["attempt"] for event in of_kind(events, "state")] == [0, 1, 1, 2, 2]


class LateClaim(MemoryLog):
    """Delays the second claim of a task, which is that of its first reply."""

    def __init__(self) -> None:
        super().__init__()
        self.claims = 0
        self.go_on = asyncio.Event()

    async def claim(self, *claim: Any) -> Head:
        self.claims += 1
        if self.claims == 2:
            await self.go_on.wait()
        return await super().claim(*claim)


async def test_a_reply_sent_twice_never_answers_the_next_question() -> None:
    log = LateClaim()
    async with agent(hello_world(), log=log) as served:
        task = (await served.result("SendMessage", {"message": message("ask twice")}))["task"]
        reply = {"message": message("payments", taskId=task["id"])}
        late = asyncio.create_task(served.result("SendMessage", reply))
        await eventually(lambda: log.claims == 2)
        assert (await served.result("SendMessage", reply))["task"]["status"]["state"] == ASKED
        log.go_on.set()
        after = (await late)["task"]
        assert after["status"]["message"]["parts"][0] == {"text": "Since when?"}
        done = (await served.result("SendMessage", {"message": message("noon", taskId=task["id"])}))["task"]
    assert done["artifacts"][0]["parts"] == [{"text": f"{TEXT}\n\nIt is payments.\n\nSince noon."}]


# Replies


async def test_one_of_two_concurrent_replies_wins_and_the_other_is_refused() -> None:
    async with agent(hello_world()) as served:
        for _ in range(5):
            task = await asked(served)
            replies = [{"message": message(text, taskId=task["id"])} for text in ("payments", "checkout", "search")]
            answers = await asyncio.gather(*(served.call("SendMessage", reply) for reply in replies))
            won = [answer["result"]["task"] for answer in answers if "result" in answer]
            errors = [answer["error"] for answer in answers if "error" in answer]
            assert [task["status"]["state"] for task in won] == [DONE]
            assert [error["code"] for error in errors] == [-32004, -32004]
            assert all("takes no message" in error["message"] for error in errors)
            (text,) = [each["parts"][0]["text"] for each in won[0]["history"][2:]]
            assert artifact_text(await served.events(task["id"])) == f"{TEXT}\n\nIt is {text}."


class SlowRelease(MemoryLog):
    """Releases a task that waits for input only after `go_on` is set. `cancel_requested` is set by a cancel request."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.cancel_requested = asyncio.Event()

    async def request_cancel(self, task_id: str) -> Head:
        head = await super().request_cancel(task_id)
        self.cancel_requested.set()
        return head

    async def update_state(self, task_id: str, attempt: int, state: Any, *, release: bool) -> Head:
        if state == ASKED:
            await self.go_on.wait()
        return await super().update_state(task_id, attempt, state, release=release)


async def test_a_reply_may_be_faster_than_the_attempt_that_asked() -> None:
    log = SlowRelease()
    async with agent(hello_world(), log=log) as served:
        task = await asked(served)  # the question is delivered, but the lease is not released
        reply = asyncio.create_task(served.result("SendMessage", {"message": message("payments", taskId=task["id"])}))
        await asyncio.wait([reply], timeout=0.1)
        assert not reply.done()
        log.go_on.set()
        assert (await reply)["task"]["status"]["state"] == DONE


async def test_a_cancel_may_be_faster_than_the_attempt_that_asked() -> None:
    log = SlowRelease()
    async with agent(hello_world(), log=log) as served:
        task = await asked(served)
        cancel = asyncio.create_task(served.result("CancelTask", {"id": task["id"]}))
        await log.cancel_requested.wait()
        log.go_on.set()
        assert (await cancel)["status"]["state"] == CANCELED
        events = await served.events(task["id"])
    assert state_of(events[-1]) == CANCELED


async def test_a_cancel_in_another_process_works_while_the_question_is_written() -> None:
    log = SlowRelease()
    async with agent(hello_world(), log=log) as asking, agent(hello_world(), log=log) as other:
        task = await asked(asking)
        cancel = asyncio.create_task(other.result("CancelTask", {"id": task["id"]}))
        await log.cancel_requested.wait()
        log.go_on.set()
        assert (await cancel)["status"]["state"] == CANCELED
        assert state_of((await other.events(task["id"]))[-1]) == CANCELED


async def test_a_reply_must_name_the_tasks_context_and_a_waiting_task() -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate)) as served:
        task = await asked(served)
        wrong = message("payments", taskId=task["id"], contextId="another")
        error = await served.error("SendMessage", {"message": wrong})
        assert error["code"] == -32602
        assert "'another'" in error["message"]
        assert task["contextId"] in error["message"]
        running = await served.begin("slow")
        await served.until(running["id"], lambda frame: state_of(frame.result) == "TASK_STATE_WORKING")
        error = await served.error("SendMessage", {"message": message("more", taskId=running["id"])})
        assert error["code"] == -32004
        assert "TASK_STATE_WORKING" in error["message"]
        gate.set()
        await served.finished(running["id"])
        for method in ("SendMessage", "SendStreamingMessage"):
            error = await served.error(method, {"message": message("more", taskId=running["id"])})
            assert error["code"] == -32004
            assert DONE in error["message"]


async def test_an_empty_task_id_or_context_id_counts_as_absent() -> None:
    async with agent(hello_world()) as served:
        task = (await served.result("SendMessage", {"message": message("hello", taskId="", contextId="")}))["task"]
        mine = (await served.result("SendMessage", {"message": message("hello", contextId="mine")}))["task"]
    assert task["contextId"]
    assert task["history"][0]["taskId"] == task["id"]
    assert mine["contextId"] == "mine"
