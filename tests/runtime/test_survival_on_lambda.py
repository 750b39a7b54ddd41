"""On Lambda, a run survives the time limit of its function and the death of its environment."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from tests.runtime.stage import SHORT_LEASES, frozen, stage
from tests.support.events import artifact_text, metadata
from tests.support.freezing import is_stopped
from tests.support.gateway import Seen
from tests.support.webhook_receiver import receiver, sending

# Short limits: an attempt works for 1.5 of 10 seconds. What is left is more than a hand-off needs on a busy machine.
SHORT = {"TAILRACE_ATTEMPT_S": "10", "TAILRACE_HANDOFF_S": "8.5", "TAILRACE_ROTATE_S": "3"}


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [meta for meta in map(metadata, events) if meta["kind"] == kind]


def assert_taken_over_once(seen: Seen) -> None:
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert seen.state == "TASK_STATE_COMPLETED"
    (attempt,) = of_kind(seen.events, "attempt")
    assert (attempt["attempt"], attempt["reason"]) == (2, "worker lost")
    assert {metadata(event)["attempt"] for event in seen.events[attempt["seq"] - 1 :]} == {2}


async def test_a_run_longer_than_its_functions_timeout_is_one_dense_stream(layer: Path, tmp_path: Path) -> None:
    async with stage(layer, tmp_path, "many_steps", limit_s=10, **SHORT) as on:
        await asyncio.gather(*(on.agent.start() for _ in range(3)))  # so that one is free for a dispatch
        seen = await on.watch(await on.post("105 steps, 100 ms each"))
        await on.all_idle()
        sent, gateways = on.api.sent, on.gateway.environments
        assert not on.api.dead_letters
        assert not [each.error for each in sent if each.error]
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert seen.state == "TASK_STATE_COMPLETED"
    assert artifact_text(seen.events).split() == [str(number) for number in range(1, 106)]
    hand_offs, attempts = of_kind(seen.events, "handoff"), of_kind(seen.events, "attempt")
    assert {(each.function, each.qualifier) for each in sent} == {("many_steps", "live")}
    assert all(meta["reason"] == "handoff" and not meta["supersedes"] for meta in attempts)
    senders = [each.sender.environment for each in sent if each.sender is not None]
    # The gateway sends the new task, and may send one whose next attempt is late. That is without the trace that tells
    # its sender if the viewer's invocation ends meanwhile.
    assert senders[0] in gateways
    worked = [environment for environment in senders if environment not in gateways]
    assert len(hand_offs) == len(attempts) == len(worked) >= 3
    assert len({id(environment) for environment in worked}) > 1


async def test_a_task_that_nobody_watches_starts_at_once_and_so_does_its_reply(layer: Path, tmp_path: Path) -> None:
    async with stage(layer, tmp_path, "assistant") as on:
        task_id = await on.post("name")
        await on.log_has(task_id, "TASK_STATE_INPUT_REQUIRED")
        assert await on.reply(task_id, "blue") == 202
        seen = await on.logged(task_id)
        await on.all_idle()
        assert len(on.api.sent) == 1
        assert on.sweeper.environments == []
    assert seen.state == "TASK_STATE_COMPLETED"


async def test_viewers_hold_no_second_function(layer: Path, tmp_path: Path) -> None:
    """They read the log. Only the dispatch and the card invoke the agent."""
    async with stage(layer, tmp_path, "many_steps") as on:
        task_id = await on.post("20 steps, 100 ms each")
        one, two = await asyncio.gather(on.watch(task_id), on.watch(task_id))
        await on.all_idle()
        paths = [each.event["rawPath"] for each in on.agent.invocations if each is not on.api.sent[0].tries[0]]
        assert len(on.api.sent) == 1
    assert one.events == two.events
    assert one.seqs == list(range(1, len(one.seqs) + 1))
    assert set(paths) <= {"/.well-known/agent-card.json"}


async def test_a_run_that_sleeps_occupies_no_environment_and_its_specialist_wakes_it(
    layer: Path, tmp_path: Path
) -> None:
    """Without a viewer or the sweeper. Neither does the delivery to its webhook, which goes on then."""
    sleeps = {"TAILRACE_SLEEP_AFTER_S": "0.3", "TAILRACE_PUSH_INTERNAL": "1"}
    async with receiver() as hook, stage(layer, tmp_path, "asks_itself", reachable=True, **sleeps) as on:
        task_id = await on.send(sending("ask", hook))
        head = await on.asleep(task_id)
        async with asyncio.timeout(30):  # half of what ends an invocation
            while sum(not each.idle for each in on.agent.environments) != 1:
                await asyncio.sleep(0.01)
        [specialist] = [each for each in on.agent.environments if not each.idle]
        assert (await on.log.head(task_id)) == head
        (tmp_path / "go").touch()
        seen = await on.logged(task_id)
        await hook.ended()
        await on.all_idle()
        assert on.api.sent
        assert {each.sender.environment for each in on.api.sent if each.sender is not None} == {specialist}
        assert not [each.error for each in on.api.sent if each.error]
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert (seen.state, artifact_text(seen.events)) == ("TASK_STATE_COMPLETED", "done")
    assert {meta["reason"] for meta in of_kind(seen.events, "handoff")} == {"sleep"}
    assert hook.got == seen.events


async def test_a_dispatch_that_fails_does_not_fail_the_request_and_the_sweeper_makes_up_for_it(
    layer: Path, tmp_path: Path
) -> None:
    async with stage(layer, tmp_path, "assistant", **SHORT_LEASES) as on:
        agent = on.api.functions.pop("assistant")
        task_id = await on.post("name")
        assert any(f"task {task_id} was not dispatched" in line for line in on.gateway.log)
        assert not on.api.sent
        on.api.functions["assistant"] = agent
        await on.sweep_until_one_is_found()
        await on.log_has(task_id, "TASK_STATE_INPUT_REQUIRED")
        await on.all_idle()


async def test_without_a_viewer_the_sweeper_takes_over_the_run_of_a_killed_environment(
    layer: Path, tmp_path: Path
) -> None:
    (tmp_path / "stand still at left:middle").touch()
    async with stage(layer, tmp_path, "killable", **SHORT_LEASES) as on:
        retry = asyncio.Event()
        on.api.pause = retry.wait
        task_id = await on.post("go")
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


async def test_a_run_whose_version_is_deleted_is_taken_over_by_the_version_that_the_alias_has(
    layer: Path, tmp_path: Path
) -> None:
    """A deploy deletes the version before. A run that was invoked by its number cannot hand itself on to it."""
    attempts = {"TAILRACE_ATTEMPT_S": "60", "TAILRACE_HANDOFF_S": "59", **SHORT_LEASES}
    async with stage(layer, tmp_path, "many_steps", INVOKED_AS="1", **attempts) as on:
        on.api.deleted = {"1"}
        task_id = await on.post("15 steps, 100 ms each")
        await on.sweep_until(task_id, "TASK_STATE_COMPLETED")
        seen = await on.logged(task_id)
        await on.all_idle()
        refused = [line for line in on.agent.log if f"task {task_id} was not dispatched to" in line and ":1:" in line]
        assert {each.qualifier for each in on.api.sent} == {"live"}
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert artifact_text(seen.events).split() == [str(number) for number in range(1, 16)]
    assert len(refused) == len(of_kind(seen.events, "handoff")) == len(of_kind(seen.events, "attempt")) >= 1


async def test_lambdas_second_attempt_takes_over_the_run_of_the_first(layer: Path, tmp_path: Path) -> None:
    """Without a viewer or the sweeper, Lambda repeats an asynchronous invocation that died."""
    (tmp_path / "die at sift:start").write_text("late")
    async with stage(layer, tmp_path, "killable") as on:
        on.api.pause = on.end_leases
        task_id = await on.post("go")
        seen = await on.logged(task_id)
        await on.api.until(lambda api: len(api.sent[0].tries) == 2)
        assert len(on.api.sent) == 1
    assert_taken_over_once(seen)


async def test_an_invocation_that_dies_at_every_attempt_becomes_a_dead_letter_and_fails_the_task(
    layer: Path, tmp_path: Path
) -> None:
    (tmp_path / "die at sift:start").write_text("always")
    async with stage(layer, tmp_path, "killable", **SHORT_LEASES) as on:
        on.api.pause = on.end_leases
        task_id = await on.post("go")
        await on.api.until(lambda api: bool(api.dead_letters))
        (letter,) = on.api.dead_letters
        assert task_id in letter.event["body"]
        await on.sweep_until(task_id, "TASK_STATE_FAILED")
        seen = await on.logged(task_id)
    assert seen.state == "TASK_STATE_FAILED"
    assert "3 workers in a row were lost" in str(seen.events[-1])


async def test_a_viewer_takes_over_the_run_of_a_killed_environment(layer: Path, tmp_path: Path) -> None:
    (tmp_path / "stand still at left:middle").touch()
    async with stage(layer, tmp_path, "killable", **SHORT_LEASES) as on:
        watching = asyncio.create_task(on.watch(await on.post("go")))
        killed = await on.stands_still()
        killed.signal(signal.SIGKILL)
        (tmp_path / "stand still at left:middle").unlink()
        seen = await watching
        await on.all_idle()
        assert len(on.api.sent) >= 2  # the gateway's for the new task, and the viewer's
        assert on.sweeper.environments == []
    assert_taken_over_once(seen)


async def test_without_a_viewer_a_webhook_gets_the_rest_after_a_kill(layer: Path, tmp_path: Path) -> None:
    hold = asyncio.Event()
    pushes = {"TAILRACE_PUSH_INTERNAL": "1", **SHORT_LEASES}
    async with receiver(hold=hold) as hook, stage(layer, tmp_path, "killable", **pushes) as on:
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
    async with stage(layer, tmp_path, "killable", **SHORT_LEASES) as on:
        task_id = await on.post("go")
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


async def test_a_viewer_takes_over_the_run_of_an_environment_that_hangs(layer: Path, tmp_path: Path) -> None:
    """The environment is there and silent, as when a machine is lost."""
    (tmp_path / "stand still at left:middle").touch()
    async with stage(layer, tmp_path, "killable", **SHORT_LEASES) as on:
        task_id = await on.post("go")
        watching = asyncio.create_task(on.watch(task_id))
        zombie = await on.stands_still()
        await on.freeze(zombie)
        (tmp_path / "stand still at left:middle").unlink()
        seen = await watching
        zombie.signal(signal.SIGCONT)
        await on.all_idle()
        assert await on.log.last(task_id) == seen.seqs[-1]
    assert_taken_over_once(seen)


async def test_an_environment_is_not_frozen_before_its_run_is_handed_off(layer: Path, tmp_path: Path) -> None:
    # An attempt works for 1 s and then has the rest of its limit to be handed off, which no busy machine needs.
    short = {"TAILRACE_HANDOFF_S": "59", "TAILRACE_ATTEMPT_S": "60"}
    async with stage(layer, tmp_path, "many_steps", limit_s=60, **short) as on:
        task_id = await on.post("30 steps, 100 ms each")
        on.api.accepting.clear()
        await on.api.until(lambda api: len(api.sent) == 2)
        sender = on.api.sent[1].sender
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
    assert len(of_kind(seen.events, "handoff")) == len(on.api.sent) - 1


async def test_a_viewer_neither_blocks_an_environment_nor_acts_after_a_thaw(layer: Path, tmp_path: Path) -> None:
    """A viewer's watch ends with its invocation: after a thaw it must not take over during another request."""
    (tmp_path / "stand still at left:middle").touch()
    async with stage(layer, tmp_path, "killable", TAILRACE_ROTATE_S="0.2", **SHORT_LEASES) as on:
        on.api.pause = asyncio.Event().wait
        task_id = await on.post("go")
        runner = await on.stands_still()
        await on.agent.start()
        await on.look_in_and_leave(task_id)
        environments = list(on.agent.environments)  # also one for the card, if it took the gateway too long
        for reader in environments:
            if reader is not runner:
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
        assert on.agent.environments == environments
        assert await on.log.head(task_id) == before
        await on.sweep_until_one_is_found()
        seen = await on.logged(task_id)
    assert_taken_over_once(seen)
