"""The store of credentials, and of what owners have used of their limits: its contract, and one in memory.

`tests/contract/credentials_contract.py` is the contract as tests.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import msgspec

from tailrace.access.credential import Credential, Presented

# The use of a session is noted when this part of its idle time has passed since it was noted last.
_NOTED_PARTS = 10


class Credentials(ABC):
    """The sessions and tokens of all owners. Every method may raise `LogUnavailable`. Reads are strongly consistent.

    `clock` returns seconds since the epoch. An expired credential is as good as none.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    @abstractmethod
    async def keep(self, credential: Credential) -> None:
        """Store a credential."""

    @abstractmethod
    async def end(self, holder: str, credential_id: str) -> bool:
        """Delete a credential; False if there is none."""

    @abstractmethod
    async def count(self, key: str, window_s: int) -> int:
        """Count one more for `key` in the current window of `window_s` seconds; return how many there are now."""

    @abstractmethod
    async def spend(self, key: str, window_s: int, amount: int, limit: int) -> bool:
        """Add `amount` to what `key` has in the current window, unless it would be more than `limit` then.

        `count` counts in the same windows.
        """

    @abstractmethod
    async def refund(self, key: str, window_s: int, amount: int, spent_at: int) -> None:
        """Take back what was spent in the window of the time `spent_at` (seconds since the epoch)."""

    @abstractmethod
    async def spent(self, key: str, window_s: int) -> int:
        """What `key` has in the current window."""

    @abstractmethod
    async def take(self, key: str, slot: str, limit: int, lasts_s: int) -> bool:
        """Take a `slot` of `key` for `lasts_s` seconds, unless `limit` others are taken.

        A slot is named by lower-case hexadecimal digits. One that nobody gives back, because its process was killed, is
        free after that time.
        """

    @abstractmethod
    async def give_back(self, key: str, slot: str) -> None:
        """Free a slot, which may be free."""

    @abstractmethod
    async def taken(self, key: str) -> int:
        """How many slots of `key` are taken."""

    def window_left_s(self, window_s: int) -> int:
        """In how many seconds the current window is over."""
        return window_s - self.now() % window_s

    @abstractmethod
    async def close(self) -> None:
        """Close the file or the connections."""

    def now(self) -> int:
        """The time, in seconds since the epoch."""
        return int(self._clock())

    async def of(self, holder: str) -> list[Credential]:
        """The valid credentials under `holder`: a person's sessions, or all tokens. The newest come first."""
        valid = [each for each in await self._of(holder) if each.ends > self._clock()]
        return sorted(valid, key=lambda each: (-each.created, each.id))

    async def known(self, presented: Presented) -> Credential | None:
        """The valid credential whose secret was presented; None if there is none. Its use keeps it from being idle."""
        found = await self._find(presented.holder, presented.id)
        now = self.now()
        if found is None or not found.fits(presented) or found.ends <= now:
            return None
        if found.idle_s and (now - found.used) * _NOTED_PARTS >= found.idle_s:
            found = msgspec.structs.replace(found, used=now)
            await self._note_use(found)
        return found

    async def is_valid(self, credential: Credential) -> bool:
        """Whether the credential is still there and has not expired. It is not used by this."""
        found = await self._find(credential.holder, credential.id)
        return found is not None and found.digest == credential.digest and found.ends > self._clock()

    async def end_all_of(self, owner: str) -> int:
        """Delete every session of the owner and return how many there were."""
        ended = [await self.end(owner, each.id) for each in await self._of(owner)]
        return sum(ended)

    @abstractmethod
    async def _find(self, holder: str, credential_id: str) -> Credential | None: ...

    @abstractmethod
    async def _of(self, holder: str) -> list[Credential]: ...

    @abstractmethod
    async def _note_use(self, credential: Credential) -> None:
        """Store when a credential was used, unless it has been deleted meanwhile."""

    def _window(self, window_s: int) -> int:
        return self.now() // window_s


class MemoryCredentials(Credentials):
    """Credentials inside one process, for tests."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock=clock)
        self._kept: dict[tuple[str, str], Credential] = {}
        self._counts: dict[tuple[str, int], int] = {}
        self._slots: dict[str, dict[str, float]] = {}

    async def keep(self, credential: Credential) -> None:
        self._kept[credential.holder, credential.id] = credential

    async def end(self, holder: str, credential_id: str) -> bool:
        return self._kept.pop((holder, credential_id), None) is not None

    async def count(self, key: str, window_s: int) -> int:
        place = (key, self._window(window_s))
        self._counts[place] = self._counts.get(place, 0) + 1
        return self._counts[place]

    async def spend(self, key: str, window_s: int, amount: int, limit: int) -> bool:
        place = (key, self._window(window_s))
        if fits := self._counts.get(place, 0) + amount <= limit:
            self._counts[place] = self._counts.get(place, 0) + amount
        return fits

    async def refund(self, key: str, window_s: int, amount: int, spent_at: int) -> None:
        place = (key, spent_at // window_s)
        if self._counts.get(place, 0) >= amount:
            self._counts[place] -= amount

    async def spent(self, key: str, window_s: int) -> int:
        return self._counts.get((key, self._window(window_s)), 0)

    async def take(self, key: str, slot: str, limit: int, lasts_s: int) -> bool:
        held = self._held(key)
        if fits := slot in held or len(held) < limit:
            held[slot] = self._clock() + lasts_s
        return fits

    async def give_back(self, key: str, slot: str) -> None:
        self._held(key).pop(slot, None)

    async def taken(self, key: str) -> int:
        return len(self._held(key))

    async def close(self) -> None:
        pass

    def _held(self, key: str) -> dict[str, float]:
        now = self._clock()
        self._slots[key] = {slot: until for slot, until in self._slots.get(key, {}).items() if until > now}
        return self._slots[key]

    async def _find(self, holder: str, credential_id: str) -> Credential | None:
        return self._kept.get((holder, credential_id))

    async def _of(self, holder: str) -> list[Credential]:
        return [each for (its, _), each in self._kept.items() if its == holder]

    async def _note_use(self, credential: Credential) -> None:
        if (credential.holder, credential.id) in self._kept:
            self._kept[credential.holder, credential.id] = credential
