"""Deliveries: they bring a task's events from the log to its webhooks, one delivery a webhook.

A delivery is a reader like any other: it follows the log from the seq that was acknowledged last. So nobody is told
what is not in the log, nothing is left out, a run never waits for a webhook, and a delivery that dies leaves a cursor
behind from which the next one goes on. What was sent and not noted is sent again: at least once, in order.

A delivery goes when its task is finished or waits for input. It starts when a webhook is made, and whenever somebody
looks at the task or sends it a message, in whatever process; a lease keeps two from doing the same. A webhook that is
due and has no delivery is found by the sweeper, which looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec

from tailrace.config import Settings
from tailrace.errors import AgentError, LogError, RequestError
from tailrace.events import now_ms
from tailrace.log import Batch, EventLog
from tailrace.network.resolver import Resolver
from tailrace.push.sender import Sender
from tailrace.push.store import MAX_WEBHOOKS, Webhooks
from tailrace.push.webhook import Webhook, check
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import end_at, follow

logger = logging.getLogger("tailrace.push")

# A notification is tried this often, with random pauses of up to 0.5, 1, 2 … s in between. Then the delivery goes,
# and the next one starts with the same notification.
_TRIES = 6
_PAUSE_S = 0.5
# The next one is due after 1, 2, 4 … minutes. So many deliveries give up, 17 hours in all, before none is due any more.
_MAX_DELIVERIES = 11
_ROUND_S = 60

Key = tuple[str, str]
# The body that tells a webhook of an event; None where the webhook is not told of it.
Notification = Callable[[EventLog, Webhook, bytes], Awaitable[bytes | None]]


class Deliveries:
    """The webhooks of one agent's tasks, and this process's deliveries to them."""

    def __init__(
        self, log: EventLog, feeds: Feeds, hooks: Webhooks, settings: Settings, notification: Notification
    ) -> None:
        self._log = log
        self._feeds = feeds
        self._hooks = hooks
        self._notification = notification
        self._settings = settings
        self._resolver = Resolver()
        self._me = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._again: set[Key] = set()
        self._looking: set[asyncio.Task[None]] = set()

    def check(self, hook: Webhook) -> Webhook:
        """`hook` if it may be made.

        Raises:
            RequestError: it may not.
        """
        return check(hook, internal=bool(self._settings.push_internal))

    async def create(self, hook: Webhook) -> Webhook:
        """Make a webhook and begin to deliver. The same one made twice is one, and goes on where it was.

        Raises:
            RequestError: nothing was made.
        """
        self.check(hook)
        others = {each.id: each for each in await self._hooks.list(hook.task_id)}
        same = others.pop(hook.id, None)
        if same is not None and same.asks_for() == hook.asks_for():
            self.ensure_delivery(hook.task_id)
            return same
        if len(others) >= MAX_WEBHOOKS:
            raise RequestError(f"Task {hook.task_id!r} has {MAX_WEBHOOKS} push notification configs; delete one first.")
        await self._stop(hook.task_id, hook.id)
        soon = now_ms() + int(self._settings.lease_s * 1000)  # then ours, which comes at once, is missing
        await self._hooks.put(msgspec.structs.replace(hook, due=soon))
        self.ensure_delivery(hook.task_id)
        return hook

    async def get(self, task_id: str, hook_id: str) -> Webhook | None:
        return await self._hooks.get(task_id, hook_id)

    async def list(self, task_id: str) -> list[Webhook]:
        return await self._hooks.list(task_id)

    async def delete(self, task_id: str, hook_id: str) -> None:
        """Forget a webhook. A notification that another process is just sending is the last."""
        await self._hooks.delete(task_id, hook_id)
        await self._stop(task_id, hook_id)

    def ensure_delivery(self, task_id: str) -> None:
        """See to it, soon, that somebody delivers to the task's webhooks. Costs one read if there are none."""
        looking = asyncio.create_task(self._ensure_delivery(task_id), name=f"webhooks of {task_id}")
        self._looking.add(looking)
        looking.add_done_callback(self._looking.discard)

    async def until_idle(self) -> None:
        """Return when no delivery of this process is under way. Cancelled, as before a deadline, it stops them all."""
        try:
            while busy := [*self._looking, *self._running.values()]:
                await asyncio.wait(busy)
        except asyncio.CancelledError:
            await self._stop_all()
            raise

    async def close(self) -> None:
        """Stop every delivery where it is; the webhooks' cursors stay."""
        await self._stop_all()
        await self._hooks.close()

    async def _stop_all(self) -> None:
        busy = [*self._looking, *self._running.values()]
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)

    async def _ensure_delivery(self, task_id: str) -> None:
        try:
            hooks = await self._hooks.list(task_id)
            # To find that out as a delivery would take two writes.
            hooks = [hook for hook in hooks if hook.due or not await end_at(self._log, task_id, hook.delivered)]
        except (LogError, RequestError) as error:
            logger.warning("webhooks of task %s: %s", task_id, error)
            return
        for hook in hooks:
            key = (task_id, hook.id)
            if key in self._running:
                self._again.add(key)
            else:
                self._running[key] = asyncio.create_task(self._run(key), name=f"delivery {task_id}")

    async def _stop(self, task_id: str, hook_id: str) -> None:
        if delivery := self._running.get((task_id, hook_id)):
            delivery.cancel()
            await asyncio.wait([delivery])

    async def _run(self, key: Key) -> None:
        """Deliver; and once more, if the task has gone on while the end of a turn was being delivered."""
        try:
            while True:
                self._again.discard(key)
                await self._turn(key)
                if key not in self._again:
                    return
        except AgentError as error:
            logger.warning("task %s: a webhook is given up for now: %s", key[0], error)
        except (LogError, RequestError) as error:
            logger.warning("task %s: a delivery stops: %s", key[0], error)
        except Exception:
            logger.exception("delivery of task %s", key[0])
        finally:
            self._again.discard(key)
            self._running.pop(key, None)

    async def _turn(self, key: Key) -> None:
        """Deliver until the task is finished or waits."""
        hook = await self._claim(key)
        if hook is None:
            return
        turn = asyncio.current_task()
        assert turn is not None
        over = asyncio.Event()
        keeping = asyncio.create_task(self._keep(key, turn, over), name=f"delivery's lease {key[0]}")
        cursor, due, failures = hook.delivered, hook.due, hook.failures
        try:
            async with Sender(hook, self._resolver, internal=bool(self._settings.push_internal)) as sender:
                async for seq, body in self._notifications(hook):
                    if body is not None:
                        await self._deliver(sender, body)
                    if not await self._hooks.advance(*key, self._me, seq, self._settings.lease_s):
                        return  # deleted, or another has it
                    cursor, failures = seq, 0
            if await end_at(self._log, hook.task_id, cursor):
                due = 0
        except LogError:
            raise  # ours to mend, not the webhook's
        except Exception:
            failures += 1
            due = 0 if failures >= _MAX_DELIVERIES else now_ms() + int(_ROUND_S * 1000 * 2 ** (failures - 1))
            raise
        finally:
            over.set()
            await asyncio.wait([keeping])  # a renewal that is under way must not come after the release
            with contextlib.suppress(LogError):
                await self._hooks.release(*key, self._me, due=due, failures=failures)

    async def _claim(self, key: Key) -> Webhook | None:
        """The webhook, ours to deliver to; None when somebody else does.

        Where the run is here, a delivery that holds the lease elsewhere is most likely as dead as the run that was
        there, so its lease is waited for.
        """
        while True:
            if hook := await self._hooks.claim(*key, self._me, self._settings.lease_s):
                return hook
            there = await self._hooks.get(*key)
            with self._feeds.subscribe(key[0]) as (feed, _):
                live = feed.live
            if there is None or not live:
                return None
            await asyncio.sleep(max(there.lease_until - now_ms(), 50) / 1000)

    async def _keep(self, key: Key, turn: asyncio.Task[None], over: asyncio.Event) -> None:
        """Hold on to the lease until the turn is `over`, also while nothing happens; stop the turn when it is gone."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._settings.renew_s)
                return
            with contextlib.suppress(LogError):
                if await self._hooks.claim(*key, self._me, self._settings.lease_s) is None:
                    turn.cancel()
                    return

    async def _notifications(self, hook: Webhook) -> AsyncGenerator[tuple[int, bytes | None]]:
        """What to tell after the webhook's cursor, each with the seq that it acknowledges."""
        if await end_at(self._log, hook.task_id, hook.delivered):
            return
        idle_s = self._settings.heartbeat_s
        items = follow(self._log, self._feeds, hook.task_id, hook.delivered, idle_s=idle_s)
        async with contextlib.aclosing(items):
            async for item in items:
                if not isinstance(item, Batch):
                    continue
                for seq, event in enumerate(item.events, item.seq):
                    yield seq, await self._notification(self._log, hook, event)

    async def _deliver(self, sender: Sender, body: bytes) -> None:
        for attempt in range(_TRIES):
            try:
                return await sender.send(body)
            except AgentError as error:
                if attempt == _TRIES - 1:
                    raise
                logger.info("a notification is tried again: %s", error)
            await asyncio.sleep(_PAUSE_S * 2**attempt * random.uniform(0.5, 1))  # noqa: S311
        raise AssertionError
