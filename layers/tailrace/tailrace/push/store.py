"""The store of webhooks: its contract, and an implementation in memory.

`tests/contract/webhooks_contract.py` is the contract as tests.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import msgspec

from tailrace.push.webhook import Webhook

# How many webhooks a task may have.
MAX_WEBHOOKS = 32


class Webhooks(ABC):
    """The webhooks of all tasks. Every method may raise `LogUnavailable`.

    `ttl_s` is how long a webhook is kept after its last delivery, in seconds; `clock` returns seconds since the epoch.
    """

    def __init__(self, *, ttl_s: float, clock: Callable[[], float] = time.time) -> None:
        self._ttl_s = ttl_s
        self._clock = clock

    @abstractmethod
    async def put(self, hook: Webhook) -> None:
        """Store a webhook. It replaces one with the same task and id."""

    @abstractmethod
    async def list(self, task_id: str) -> list[Webhook]:
        """The task's webhooks, by id, strongly consistent."""

    @abstractmethod
    async def delete(self, task_id: str, hook_id: str) -> None:
        """Delete a webhook and its secrets, if it exists."""

    @abstractmethod
    async def claim(self, task_id: str, hook_id: str, holder: str, lease_s: float) -> Webhook | None:
        """Take the webhook's lease for `lease_s` seconds, as `holder`, or extend it; return the webhook after that.

        None if another process holds the lease, or the webhook is deleted. A webhook that was not due becomes due now.
        """

    @abstractmethod
    async def advance(self, task_id: str, hook_id: str, holder: str, delivered: int, lease_s: float) -> bool:
        """Set the seq that was acknowledged last, and extend the lease to `lease_s` seconds from now.

        False if `holder` does not hold the webhook any more, or it is deleted.
        """

    @abstractmethod
    async def release(self, task_id: str, hook_id: str, holder: str, *, due: int, failures: int) -> bool:
        """Release the lease, and set when the webhook is due (ms; 0: never) and how many deliveries in a row failed.

        False if `holder` does not hold the webhook any more, or it is deleted.
        """

    @abstractmethod
    async def due_tasks(self, limit: int) -> Sequence[str]:
        """Up to `limit` ids of tasks with a webhook that is due and that no process holds, the longest due first.

        The cost grows with the number of webhooks that are due, not with the number of all webhooks.
        """

    @abstractmethod
    async def put_off(self, task_id: str, due: int) -> None:
        """Set `due` (ms) of those of the task's webhooks that are due now and that no process holds."""

    @abstractmethod
    async def close(self) -> None:
        """Close the file or the connections."""

    async def get(self, task_id: str, hook_id: str) -> Webhook | None:
        """The webhook with this id; None if there is none."""
        return next((hook for hook in await self.list(task_id) if hook.id == hook_id), None)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _until(self, lease_s: float) -> int:
        return self._now() + int(lease_s * 1000)

    def _expiry(self) -> int:
        return int(self._clock() + self._ttl_s)


class MemoryWebhooks(Webhooks):
    """Webhooks inside one process, for tests."""

    def __init__(self, *, ttl_s: float = 7 * 86_400, clock: Callable[[], float] = time.time) -> None:
        super().__init__(ttl_s=ttl_s, clock=clock)
        self._hooks: dict[tuple[str, str], tuple[Webhook, int]] = {}

    async def put(self, hook: Webhook) -> None:
        self._hooks[hook.task_id, hook.id] = hook, self._expiry()

    async def list(self, task_id: str) -> list[Webhook]:
        hooks = [hook for hook, ttl in self._hooks.values() if hook.task_id == task_id and ttl > self._clock()]
        return sorted(hooks, key=lambda hook: hook.id)

    async def delete(self, task_id: str, hook_id: str) -> None:
        self._hooks.pop((task_id, hook_id), None)

    async def claim(self, task_id: str, hook_id: str, holder: str, lease_s: float) -> Webhook | None:
        hook = await self.get(task_id, hook_id)
        if hook is None or (hook.holder != holder and hook.lease_until > self._now()):
            return None
        return self._change(hook, holder=holder, lease_until=self._until(lease_s), due=hook.due or self._now())

    async def advance(self, task_id: str, hook_id: str, holder: str, delivered: int, lease_s: float) -> bool:
        hook = await self.get(task_id, hook_id)
        if hook is None or hook.holder != holder:
            return False
        self._change(hook, delivered=delivered, lease_until=self._until(lease_s), failures=0)
        return True

    async def release(self, task_id: str, hook_id: str, holder: str, *, due: int, failures: int) -> bool:
        hook = await self.get(task_id, hook_id)
        if hook is None or hook.holder != holder:
            return False
        self._change(hook, lease_until=0, due=due, failures=failures)
        return True

    async def due_tasks(self, limit: int) -> Sequence[str]:
        now = self._now()
        live = [hook for hook, ttl in self._hooks.values() if ttl > self._clock() and hook.lease_until <= now]
        due = sorted((hook for hook in live if 0 < hook.due <= now), key=lambda hook: hook.due)
        return list(dict.fromkeys(hook.task_id for hook in due))[:limit]

    async def put_off(self, task_id: str, due: int) -> None:
        for hook in await self.list(task_id):
            if 0 < hook.due <= self._now() and hook.lease_until <= self._now():
                self._change(hook, due=due)

    async def close(self) -> None:
        pass

    def _change(self, hook: Webhook, **changes: str | int) -> Webhook:
        changed = msgspec.structs.replace(hook, **changes)
        self._hooks[hook.task_id, hook.id] = changed, self._expiry()
        return changed
