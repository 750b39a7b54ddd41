"""A conversation whose last task has a damaged end is refused with words, and goes on from where its user says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tailrace.log.sqlite import SQLiteLog
from tests.integration.test_conversations import recalled, send
from tests.integration.test_gateway_contexts import ASKED, DONE, EXTENSION, post, say, task_of
from tests.integration.test_gateway_conversations import damage, in_state
from tests.sample_agents.recall import RECALL
from tests.support.conditions import eventually
from tests.support.gateway import System
from tests.support.in_process import agent, system
from tests.support.jsonrpc import Agent, message

# No zlib; and no event, although it can be unpacked.
DAMAGED = [b"x is no zlib", b"{}"]


async def damage_the_end(sut: System, folder: Path, task_id: str, stored: bytes = DAMAGED[0]) -> int:
    """Damage the task's newest event; return its seq."""
    seq = await sut.log.last(task_id)
    damage(folder / "log.sqlite3", task_id, seq, stored)
    return seq


def after(task_id: str | None) -> dict[str, Any]:
    return {EXTENSION: {"after": task_id}}


@pytest.mark.parametrize("stored", DAMAGED, ids=["bytes", "JSON"])
async def test_a_message_after_a_damaged_end_is_a_409_that_names_the_event_and_what_to_do(
    tmp_path: Path, stored: bytes
) -> None:
    async with system(RECALL, tmp_path) as sut:
        first, _, _ = await say(sut, "one", "c")
        second, _, _ = await say(sut, "two", "c", messageId="m2")
        await in_state(sut, second["id"], DONE)
        seq = await damage_the_end(sut, tmp_path, second["id"], stored)
        refused = await post(sut, "three", "c", messageId="m3")
        assert refused.status_code == 409
        said = refused.json()["detail"]
        assert said.startswith("Context 'c' cannot go on from its last task. Event")
        assert f"{seq} of task {second['id']!r} cannot be read" in said
        assert said.endswith("or name a COMPLETED task of the context that the message begins after.")
        assert (await sut.http.get(f"/api/tasks/{task_of('m3')}")).status_code == 404
        assert (await post(sut, "two", "c", messageId="m2")).json() == second, "a repeated message finds its task"

        refused = await post(sut, "three", "c", metadata=after(second["id"]))
        assert (refused.status_code, f"of task {second['id']!r} cannot be read" in refused.json()["detail"]) == (
            400,
            True,
        )
        assert (await say(sut, "three", "c", metadata=after(first["id"])))[1:] == (DONE, "one, three")
        assert (await say(sut, "four", "c"))[1:] == (DONE, "one, three, four")


async def test_a_failed_task_after_a_damaged_end_leaves_the_thread_where_its_user_wanted_it(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        await say(sut, "one", "c")
        second, _, _ = await say(sut, "two", "c")
        third, _, _ = await say(sut, "three", "c")
        await in_state(sut, third["id"], DONE)
        await damage_the_end(sut, tmp_path, third["id"])
        assert (await say(sut, "fail", "c", metadata=after(second["id"])))[1] == "TASK_STATE_FAILED"
        assert (await say(sut, "four", "c"))[1:] == (DONE, "one, two, four")


async def test_a_task_that_failed_is_left_out_although_its_end_is_damaged(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        await say(sut, "one", "c")
        failed, state, _ = await say(sut, "fail", "c")
        await in_state(sut, failed["id"], state)
        await damage_the_end(sut, tmp_path, failed["id"])
        assert (await say(sut, "two", "c"))[1:] == (DONE, "one, two")


async def test_a_context_is_busy_with_a_task_that_is_damaged_and_not_finished(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        asking, _, _ = await say(sut, "ask", "c")
        await in_state(sut, asking["id"], ASKED)
        await damage_the_end(sut, tmp_path, asking["id"])
        refused = await post(sut, "two", "c")
        assert (refused.status_code, f"its task {asking['id']!r} is not finished" in refused.json()["detail"]) == (
            409,
            True,
        )
        assert (await sut.http.post(f"/api/tasks/{asking['id']}/cancel")).status_code == 202
        await in_state(sut, asking["id"], "TASK_STATE_CANCELED")
        assert (await say(sut, "two", "c"))[1:] == (DONE, "two")


async def test_an_agent_refuses_a_message_after_a_damaged_end_with_the_same_words(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.sqlite3")

    async def is_done(served: Agent, task_id: str) -> bool:
        return (await log.head(task_id)).state == DONE

    async with agent(RECALL, log=log) as served:
        first, second = [await send(served, text, contextId="c") for text in ("one", "two")]
        await eventually(lambda: is_done(served, second["id"]))
        seq = await log.last(second["id"])
        damage(tmp_path / "log.sqlite3", second["id"], seq, DAMAGED[0])
        error = await served.error("SendMessage", {"message": message("three", contextId="c")})
        assert error["code"] == -32004
        assert f"{seq} of task {second['id']!r} cannot be read" in error["message"]
        assert len((await served.result("ListTasks", {}))["tasks"]) == 2
        assert await recalled(served, "three", contextId="c", metadata=after(first["id"])) == "one, three"


async def test_a_task_that_another_process_created_before_the_damage_is_rejected_with_the_same_words(
    tmp_path: Path,
) -> None:
    """Its author's function names the thread, so the agent decides when it begins the task."""
    async with system(RECALL, tmp_path, options={"thread": lambda request: "one for all"}) as sut:
        first, _, _ = await say(sut, "one")
        await in_state(sut, first["id"], DONE)
        await damage_the_end(sut, tmp_path, first["id"])
        second, state, _ = await say(sut, "two")
        assert state == "TASK_STATE_REJECTED"
        task = (await sut.http.get(f"/api/tasks/{second['id']}")).json()
        assert f"of task {first['id']!r} cannot be read" in task["status"]["message"]["parts"][0]["text"]
