"""Deliveries: each sends a task's events from the log to one webhook.

A delivery is a reader like any other. It follows the log from the seq that the webhook acknowledged last, so it sends
only events that are in the log, and all of them. A run never waits for a webhook. If a delivery dies, the next one goes
on from the stored cursor. An event that was sent but not noted is sent again: each event arrives at least once, and
they arrive in order.

A delivery starts when a webhook is created, and when a client reads the task or sends it a message, in any process. A
lease makes sure that only one delivers to a webhook. It ends when the task is finished or waits for input. The sweeper
finds webhooks that are due and have no delivery.
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
from tailrace.errors import AgentError, LogError, RequestError, TaskUnknown
from tailrace.events import now_ms
from tailrace.log import Batch, EventLog
from tailrace.network.resolver import Resolver
from tailrace.push.sender import Sender
from tailrace.push.store import MAX_WEBHOOKS, Webhooks
from tailrace.push.webhook import Webhook, check
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import Idle, end_at, follow
from tailrace.tracing.context import within

logger = logging.getLogger("tailrace.push")

# How often a notification is tried, with random pauses of up to 0.5, 1, 2 … s in between. After that the delivery ends,
# and the next one starts with the same notification.
TRIES = 6
PAUSE_S = 0.5
# The next delivery is due after 1, 2, 4 … minutes. After this many failed deliveries, 17 hours in all, none is due.
MAX_DELIVERIES = 11
FIRST_RETRY_S = 60
# When the next delivery is due for a task that sleeps, if its wake begins none.
ASLEEP_S = 600

# A webhook's task id and id.
Key = tuple[str, str]
# Makes the body that notifies a webhook of an event; None if the webhook does not get that event.
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
        self._lookups: set[asyncio.Task[None]] = set()

    def check(self, hook: Webhook) -> Webhook:
        """Return `hook` if it may be created.

        Raises:
            RequestError: its URL, id or secrets cannot be used.
        """
        return check(hook, internal=bool(self._settings.push_internal))

    async def create(self, hook: Webhook) -> Webhook:
        """Store a webhook and start its delivery. If the same webhook exists, it goes on where it was.

        Raises:
            RequestError: nothing was stored.
            LogUnavailable
        """
        self.check(hook)
        others = {each.id: each for each in await self._hooks.list(hook.task_id)}
        existing = others.pop(hook.id, None)
        if existing is not None and existing.request_fields() == hook.request_fields():
            self.ensure_delivery(hook.task_id)
            return existing
        if len(others) >= MAX_WEBHOOKS:
            raise RequestError(f"Task {hook.task_id!r} has {MAX_WEBHOOKS} push notification configs; delete one first.")
        await self._stop(hook.task_id, hook.id)
        due = now_ms() + int(self._settings.lease_s * 1000)  # Unless this process dies, it delivers before then.
        await self._hooks.put(msgspec.structs.replace(hook, due=due))
        self.ensure_delivery(hook.task_id)
        return hook

    async def get(self, task_id: str, hook_id: str) -> Webhook | None:
        """The webhook with this id, None if there is none. May raise `LogUnavailable`."""
        return await self._hooks.get(task_id, hook_id)

    async def list(self, task_id: str) -> list[Webhook]:
        """The task's webhooks, by id. May raise `LogUnavailable`."""
        return await self._hooks.list(task_id)

    async def delete(self, task_id: str, hook_id: str) -> None:
        """Delete a webhook. A notification that another process is sending at this moment is its last."""
        await self._hooks.delete(task_id, hook_id)
        await self._stop(task_id, hook_id)

    def ensure_delivery(self, task_id: str) -> None:
        """Start the deliveries that the task's webhooks need, in the background. One read if there are no webhooks."""
        lookup = asyncio.create_task(self._ensure_delivery(task_id), name=f"webhooks of {task_id}")
        self._lookups.add(lookup)
        lookup.add_done_callback(self._lookups.discard)

    async def until_idle(self) -> None:
        """Return when no delivery of this process is under way. If this is cancelled, it stops them all."""
        try:
            while busy := [*self._lookups, *self._running.values()]:
                await asyncio.wait(busy)
        except asyncio.CancelledError:
            await self._stop_all()
            raise

    async def close(self) -> None:
        """Stop every delivery. The webhooks' cursors stay."""
        await self._stop_all()
        await self._hooks.close()

    async def _stop_all(self) -> None:
        busy = [*self._lookups, *self._running.values()]
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)

    async def _ensure_delivery(self, task_id: str) -> None:
        try:
            hooks = await self._hooks.list(task_id)
            # A delivery that finds nothing to deliver would cost two writes.
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
        """Deliver, and deliver again if the task has gone on in the meantime."""
        try:
            while True:
                self._again.discard(key)
                await self._deliver_turn(key)
                if key not in self._again:
                    return
        except AgentError as error:
            logger.warning("task %s: a delivery to a webhook stops for now: %s", key[0], error)
        except (LogError, RequestError) as error:
            logger.warning("task %s: a delivery stops: %s", key[0], error)
        except Exception:
            logger.exception("delivery of task %s", key[0])
        finally:
            self._again.discard(key)
            self._running.pop(key, None)

    async def _deliver_turn(self, key: Key) -> None:
        """Deliver until the task is finished, waits for input or sleeps."""
        hook = await self._claim(key)
        if hook is None:
            return
        turn = asyncio.current_task()
        assert turn is not None
        over = asyncio.Event()
        lease = asyncio.create_task(self._keep_lease(key, turn, over), name=f"delivery's lease {key[0]}")
        cursor, due, failures = hook.delivered, hook.due, hook.failures
        try:
            with within(await self._trace_of(hook.task_id)):
                sender = Sender(hook, self._resolver, internal=bool(self._settings.push_internal))
            async with sender:
                async for seq, body in self._notifications(hook):
                    if body is not None:
                        await self._send(sender, body)
                    if not await self._hooks.advance(*key, self._me, seq, self._settings.lease_s):
                        return  # The webhook is deleted, or another process delivers to it.
                    cursor, failures = seq, 0
            if await end_at(self._log, hook.task_id, cursor):
                due = 0
            elif await self._asleep(hook.task_id):
                due = now_ms() + int(ASLEEP_S * 1000)
        except LogError:
            raise  # This is not the webhook's failure.
        except Exception:
            failures += 1
            due = 0 if failures >= MAX_DELIVERIES else now_ms() + int(FIRST_RETRY_S * 1000 * 2 ** (failures - 1))
            raise
        finally:
            over.set()
            await asyncio.wait([lease])  # A renewal under way must not come after the release.
            with contextlib.suppress(LogError):
                await self._hooks.release(*key, self._me, due=due, failures=failures)

    async def _claim(self, key: Key) -> Webhook | None:
        """Take the webhook's lease; None if another process delivers to it.

        If this process runs the task, a delivery in another process has probably died with the task's earlier run. Then
        this waits until that delivery's lease has expired.
        """
        while True:
            if hook := await self._hooks.claim(*key, self._me, self._settings.lease_s):
                return hook
            held = await self._hooks.get(*key)
            with self._feeds.subscribe(key[0]) as (feed, _):
                live = feed.live
            if held is None or not live:
                return None
            await asyncio.sleep(max(held.lease_until - now_ms(), 50) / 1000)

    async def _keep_lease(self, key: Key, turn: asyncio.Task[None], over: asyncio.Event) -> None:
        """Renew the lease until the turn is `over`. Cancel the turn if the lease is lost."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._settings.renew_s)
                return
            with contextlib.suppress(LogError):
                if await self._hooks.claim(*key, self._me, self._settings.lease_s) is None:
                    turn.cancel()
                    return

    async def _notifications(self, hook: Webhook) -> AsyncGenerator[tuple[int, bytes | None]]:
        """The bodies to send after the webhook's cursor, each with its event's seq. None: nothing to send for it."""
        if await end_at(self._log, hook.task_id, hook.delivered):
            return
        idle_s = min(self._settings.heartbeat_s, self._settings.sleep_after_s or self._settings.heartbeat_s)
        items = follow(self._log, self._feeds, hook.task_id, hook.delivered, idle_s=idle_s)
        async with contextlib.aclosing(items):
            async for item in items:
                if isinstance(item, Idle) and await self._asleep(hook.task_id):
                    return  # Who wakes the task reads it, and that begins the next turn.
                if not isinstance(item, Batch):
                    continue
                for seq, event in enumerate(item.events, item.seq):
                    yield seq, await self._notification(self._log, hook, event)

    async def _trace_of(self, task_id: str) -> str:
        try:
            return (await self._log.head(task_id)).trace
        except TaskUnknown:
            return ""  # It has expired. Its last events may be there for a moment longer.

    async def _asleep(self, task_id: str) -> bool:
        return (await self._log.head(task_id)).asleep(self._log.now())

    async def _send(self, sender: Sender, body: bytes) -> None:
        """Send a notification, with retries. Raises `AgentError` if the last try fails."""
        for attempt in range(TRIES):
            try:
                return await sender.send(body)
            except AgentError as error:
                if attempt == TRIES - 1:
                    raise
                logger.info("a notification is sent again: %s", error)
            await asyncio.sleep(PAUSE_S * 2**attempt * random.uniform(0.5, 1))  # noqa: S311
        raise AssertionError
