"""On Lambda, a run survives the time limit of its function and the death of its environment."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from tests.runtime.stage import frozen, stage
from tests.support.events import artifact_text, metadata
from tests.support.freezing import is_stopped
from tests.support.gateway import Seen
from tests.support.webhook_receiver import receiver, sending

# Short limits: an attempt works for 1.5 of 4 seconds.
SHORT = {"TAILRACE_HANDOFF_S": "2.5", "TAILRACE_ROTATE_S": "3"}


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [meta for meta in map(metadata, events) if meta["kind"] == kind]


def assert_taken_over_once(seen: Seen) -> None:
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert seen.state == "TASK_STATE_COMPLETED"
    (attempt,) = of_kind(seen.events, "attempt")
    assert (attempt["attempt"], attempt["reason"]) == (2, "worker lost")
    assert {metadata(event)["attempt"] for event in seen.events[attempt["seq"] - 1 :]} == {2}


async def test_a_run_longer_than_its_functions_timeout_is_one_dense_stream(layer: Path, tmp_path: Path) -> None:
    async with stage(layer, tmp_path, "many_steps", limit_s=4, **SHORT) as on:
        await asyncio.gather(*(on.agent.start() for _ in range(3)))  # so that one is free for a dispatch
        seen = await on.watch(await on.post("60 steps, 100 ms each"))
        await on.all_idle()
        sent = on.api.sent
        assert not on.api.dead_letters
        assert not [each.error for each in sent if each.error]
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert seen.state == "TASK_STATE_COMPLETED"
    assert artifact_text(seen.events).split() == [str(number) for number in range(1, 61)]
    hand_offs, attempts = of_kind(seen.events, "handoff"), of_kind(seen.events, "attempt")
    assert len(hand_offs) == len(attempts) == len(sent) >= 3
    assert all(meta["reason"] == "handoff" and not meta["supersedes"] for meta in attempts)
    assert {(each.function, each.qualifier) for each in sent} == {("many_steps", "live")}
    worked = [each.sender.environment for each in sent if each.sender is not None]
    assert len(worked) == len(sent)
    assert len({id(environment) for environment in worked}) > 1


async def test_without_a_viewer_the_sweeper_takes_over_the_run_of_a_killed_environment(
    layer: Path, tmp_path: Path
) -> None:
    (tmp_path / "stand still at left:middle").touch()
    async with stage(layer, tmp_path, "killable") as on:
        retry = asyncio.Event()
        on.api.pause = retry.wait
        task_id = await on.post("go")
        await on.sweep_until_one_is_found()  # nobody has started it
        killed = await on.stands_still()
        killed.signal(signal.SIGKILL)
        (tmp_path / "stand still at left:middle").unlink()
        await on.sweep_until_one_is_found()
        seen = await on.logged(task_id)
        assert await on.sweep() == 0
        retry.set()  # Lambda repeats the killed environment's invocation, which finds a finished task
        await on.api.until(lambda api: len(api.sent[0].tries) == 2 and api.sent[0].tries[1].over.is_set())
        await on.all_idle()
        assert killed.phase == "gone"
        assert len(on.api.sent) == 2
        assert await on.log.last(task_id) == seen.seqs[-1]
    assert_taken_over_once(seen)


async def test_lambdas_second_attempt_takes_over_the_run_of_the_first(layer: Path, tmp_path: Path) -> None:
    """Without a viewer or the sweeper, Lambda repeats an asynchronous invocation that died."""
    (tmp_path / "die at sift:start").write_text("late")
    async with stage(layer, tmp_path, "killable") as on:
        task_id = await on.post("go")
        on.api.pause = lambda: on.orphaned(task_id)
        await on.sweep_until_one_is_found()
        seen = await on.logged(task_id)
        await on.api.until(lambda api: len(api.sent[0].tries) == 2)
        assert len(on.api.sent) == 1
    assert_taken_over_once(seen)


async def test_an_invocation_that_dies_at_every_attempt_becomes_a_dead_letter_and_fails_the_task(
    layer: Path, tmp_path: Path
) -> None:
    (tmp_path / "die at sift:start").write_text("always")
    async with stage(layer, tmp_path, "killable") as on:
        task_id = await on.post("go")
        on.api.pause = lambda: on.orphaned(task_id)
        await on.sweep_until_one_is_found()
        await on.api.until(lambda api: bool(api.dead_letters))
        (letter,) = on.api.dead_letters
        assert task_id in letter.event["body"]
        await on.sweep_until(task_id, "TASK_STATE_FAILED")
        seen = await on.logged(task_id)
    assert seen.state == "TASK_STATE_FAILED"
    assert "3 workers in a row were lost" in str(seen.events[-1])


async def test_a_viewer_takes_over_the_run_of_a_killed_environment(layer: Path, tmp_path: Path) -> None:
    (tmp_path / "stand still at left:middle").touch()
    async with stage(layer, tmp_path, "killable") as on:
        watching = asyncio.create_task(on.watch(await on.post("go")))
        killed = await on.stands_still()
        killed.signal(signal.SIGKILL)
        (tmp_path / "stand still at left:middle").unlink()
        seen = await watching
        await on.all_idle()
        assert not on.api.sent
    assert_taken_over_once(seen)


async def test_without_a_viewer_a_webhook_gets_the_rest_after_a_kill(layer: Path, tmp_path: Path) -> None:
    hold = asyncio.Event()
    async with receiver(hold=hold) as hook, stage(layer, tmp_path, "killable", TAILRACE_PUSH_INTERNAL="1") as on:
        seen = await on.logged(await on.send(sending("go", hook)))
        await hook.until(lambda: hook.got)
        on.working().signal(signal.SIGKILL)
        hold.set()
        hook.got.clear()  # it was not acknowledged
        await on.sweep_until_one_is_found()
        await hook.ended()
        await on.all_idle()
        assert not await on.sweep()
    assert hook.got == seen.events


async def test_an_environment_frozen_past_its_lease_writes_nothing_when_it_thaws(layer: Path, tmp_path: Path) -> None:
    (tmp_path / "stand still at left:middle").touch()
    async with stage(layer, tmp_path, "killable") as on:
        task_id = await on.post("go")
        await on.sweep_until_one_is_found()
        zombie = await on.stands_still()
        await on.freeze(zombie)
        (tmp_path / "stand still at left:middle").unlink()
        seen = await on.watch(task_id)
        assert not zombie.waiting
        zombie.signal(signal.SIGCONT)
        await zombie.until(lambda e: e.idle)  # it noticed by itself; nobody killed it
        await on.all_idle()
        assert on.api.sent[0].error is None
        assert any("stops" in line for line in zombie.log)
        assert await on.log.last(task_id) == seen.seqs[-1]
    assert_taken_over_once(seen)


async def test_a_viewers_pipe_to_a_hanging_environment_ends_with_its_lease(layer: Path, tmp_path: Path) -> None:
    """The connection stays open and silent, as when a machine is lost."""
    (tmp_path / "stand still at left:middle").touch()
    async with stage(layer, tmp_path, "killable") as on:
        task_id = await on.post("go")
        watching = asyncio.create_task(on.watch(task_id))
        zombie = await on.stands_still()
        await on.freeze(zombie)
        (tmp_path / "stand still at left:middle").unlink()
        async with asyncio.timeout(40):  # less than the minute after which a silent connection times out
            seen = await watching
        zombie.signal(signal.SIGCONT)
        await on.all_idle()
        assert await on.log.last(task_id) == seen.seqs[-1]
    assert_taken_over_once(seen)


async def test_an_environment_is_not_frozen_before_its_run_is_handed_off(layer: Path, tmp_path: Path) -> None:
    async with stage(layer, tmp_path, "many_steps", limit_s=8, TAILRACE_HANDOFF_S="7") as on:
        on.api.accepting.clear()
        task_id = await on.post("30 steps, 100 ms each")
        await on.dispatched(task_id)
        await on.api.until(lambda api: len(api.sent) == 1)
        sender = on.api.sent[0].sender
        assert sender is not None
        assert sender.environment is not None
        began = on.log.now()
        while on.log.now() < began + 600:  # three times the interval of lease renewals
            assert (await on.log.head(task_id)).orphaned(on.log.now())  # everything else is done
            assert sender.environment.waiting == 0
            assert not is_stopped(sender.environment.process.pid)
        on.api.accepting.set()
        seen = await on.logged(task_id)
        await on.all_idle()
    assert seen.state == "TASK_STATE_COMPLETED"
    assert len(of_kind(seen.events, "handoff")) == len(on.api.sent)


async def test_a_viewer_neither_blocks_an_environment_nor_acts_after_a_thaw(layer: Path, tmp_path: Path) -> None:
    """A viewer's watch ends with its invocation: after a thaw it must not take over during another request."""
    (tmp_path / "stand still at left:middle").touch()
    async with stage(layer, tmp_path, "killable", TAILRACE_ROTATE_S="0.2") as on:
        on.api.pause = asyncio.Event().wait
        task_id = await on.post("go")
        await on.sweep_until_one_is_found()
        runner = await on.stands_still()
        reader = await on.agent.start()
        await on.look_in_and_leave(task_id)
        await frozen(reader)
        assert not reader.log  # its abandoned stream ended and was not cut off
        await frozen(on.gateway.environment)
        runner.signal(signal.SIGKILL)
        (tmp_path / "stand still at left:middle").unlink()
        before = await on.orphaned(task_id)
        assert (await on.http.get("/api/health")).status_code == 200
        assert (await on.card()).status_code == 200
        await on.all_idle()
        assert len(on.gateway.environments) == 1
        assert on.agent.environments == [runner, reader]
        assert await on.log.head(task_id) == before
        await on.sweep_until_one_is_found()
        seen = await on.logged(task_id)
    assert_taken_over_once(seen)
