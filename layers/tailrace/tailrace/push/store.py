"""Where webhooks are kept: a small seam, with the shortest of its implementations.

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
    """The webhooks of all tasks. Any method may raise `LogUnavailable`."""

    def __init__(self, *, ttl_s: float, clock: Callable[[], float] = time.time) -> None:
        self._ttl_s = ttl_s
        self._clock = clock

    @abstractmethod
    async def put(self, hook: Webhook) -> None:
        """Keep a webhook, in place of the one of the same id."""

    @abstractmethod
    async def list(self, task_id: str) -> list[Webhook]:
        """The task's webhooks, by id, strongly consistent."""

    @abstractmethod
    async def delete(self, task_id: str, hook_id: str) -> None:
        """Forget a webhook and its secrets; nothing happens when there is none."""

    @abstractmethod
    async def claim(self, task_id: str, hook_id: str, holder: str, lease_s: float) -> Webhook | None:
        """Become the one who delivers; the webhook as it is then, None while another one holds it or it is gone.

        From now on it is due, unless it was so before.
        """

    @abstractmethod
    async def advance(self, task_id: str, hook_id: str, holder: str, delivered: int, lease_s: float) -> bool:
        """Note what was acknowledged, and hold on for `lease_s`. False when it is not ours, or gone."""

    @abstractmethod
    async def release(self, task_id: str, hook_id: str, holder: str, *, due: int, failures: int) -> bool:
        """Let go of what we hold, and note what is to be done about it. False when it is not ours, or gone."""

    @abstractmethod
    async def due_tasks(self, limit: int) -> Sequence[str]:
        """The tasks with a webhook that is due and that nobody holds: up to `limit` ids, the longest due first.

        Never a scan: the price grows with the webhooks that are due.
        """

    @abstractmethod
    async def put_off(self, task_id: str, due: int) -> None:
        """Of the task's webhooks, let those that are due be due at `due` (ms) and not before."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of what the store holds open."""

    async def get(self, task_id: str, hook_id: str) -> Webhook | None:
        return next((hook for hook in await self.list(task_id) if hook.id == hook_id), None)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _until(self, lease_s: float) -> int:
        return self._now() + int(lease_s * 1000)

    def _expiry(self) -> int:
        return int(self._clock() + self._ttl_s)


class MemoryWebhooks(Webhooks):
    """Keeps everything in one process, for as long as it lives."""

    def __init__(self, *, ttl_s: float = 7 * 86_400, clock: Callable[[], float] = time.time) -> None:
        super().__init__(ttl_s=ttl_s, clock=clock)
        self._hooks: dict[tuple[str, str], tuple[Webhook, int]] = {}

    async def put(self, hook: Webhook) -> None:
        self._hooks[hook.task_id, hook.id] = hook, self._expiry()

    async def list(self, task_id: str) -> list[Webhook]:
        mine = [hook for hook, ttl in self._hooks.values() if hook.task_id == task_id and ttl > self._clock()]
        return sorted(mine, key=lambda hook: hook.id)

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
