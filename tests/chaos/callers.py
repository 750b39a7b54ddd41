"""Who asks the gateway: a program that it knows anyway, or owners whose sessions end and who meet their limits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tailrace.access.credential import new_session
from tailrace.access.sqlite import SQLiteCredentials
from tailrace.owner import LOCAL_OWNER, Owner

# The gateway of owners: nobody comes in but by a session. The issuer is never asked.
VARIABLES = {
    "TAILRACE_OIDC_ISSUER": "http://127.0.0.1:9",
    "TAILRACE_OIDC_CLIENT_ID": "chaos",
    "TAILRACE_SESSION_CHECK_S": "0.2",
    "TAILRACE_HEARTBEAT_S": "0.2",
    # The place of a stream whose gateway was killed is free again after this, its heartbeat and 6 s.
    "TAILRACE_ROTATE_S": "1",
    "TAILRACE_OWNER_RUNNING": "1",
    "TAILRACE_OWNER_STREAMS": "2",
}
_SESSION_S = 2
_FULL_S = 0.2


@dataclass
class Caller:
    """A program. `known` are the headers that let it in."""

    owner: str = LOCAL_OWNER
    known: Mapping[str, str] = field(default_factory=dict)

    def headers(self) -> Mapping[str, str]:
        return self.known

    async def is_to_ask_again(self, status: int) -> bool:
        """Whether a request that was refused with this status is to be made again."""
        return False


class Person(Caller):
    """An owner with a session, who signs in again when it is over, and waits at a limit."""

    def __init__(self, owner: Owner, store: SQLiteCredentials, port: int, refused: Counter[int]) -> None:
        super().__init__(owner.id)
        self._owner = owner
        self._store = store
        self._port = port
        self._refused = refused
        self._signing_in = asyncio.Lock()
        self._signed_in_at = 0

    def headers(self) -> Mapping[str, str]:
        return self.known

    async def is_to_ask_again(self, status: int) -> bool:
        if status == 429:
            await asyncio.sleep(_FULL_S)
        elif status == 401:
            await self._sign_in()
        else:
            return False
        self._refused[status] += 1
        return True

    async def _sign_in(self) -> None:
        async with self._signing_in:
            if self._store.now() < self._signed_in_at + _SESSION_S:
                return  # for another request, meanwhile
            session, cookie = new_session(self._owner, now=self._store.now(), idle_s=0, lasts_s=_SESSION_S)
            await self._store.keep(session)
            self._signed_in_at = session.created
            origin = f"http://127.0.0.1:{self._port}"
            self.known = {"Cookie": f"tailrace-{self._port}={cookie}", "Origin": origin}


class Callers:
    """The callers of a campaign. `refused` counts the requests that were refused and made again, by their status."""

    def __init__(self) -> None:
        self.refused: Counter[int] = Counter()
        self._callers: list[Caller] = [Caller()]

    def of(self, number: int) -> Caller:
        """Whose the task with this number is."""
        return self._callers[number % len(self._callers)]

    def other(self, caller: Caller) -> Caller | None:
        """Another owner, if there is one."""
        return next((each for each in self._callers if each is not caller), None)

    async def close(self) -> None:
        pass


class TwoPeople(Callers):
    """Ada and Bob, who sign in at a gateway behind `port`."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__()
        self._store = SQLiteCredentials(folder / "access.sqlite3")
        owners = [Owner.of_subject("chaos", name, name) for name in ("ada", "bob")]
        self._callers = [Person(owner, self._store, port, self.refused) for owner in owners]

    async def close(self) -> None:
        await self._store.close()
