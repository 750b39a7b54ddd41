"""Credentials in a SQLite file of their own, which only this user may read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tailrace.access.credential import Credential
from tailrace.access.store import Credentials
from tailrace.stores.sqlite import SQLiteFile, expired

_SCHEMA = """
CREATE TABLE IF NOT EXISTS credentials (
    holder TEXT NOT NULL, id TEXT NOT NULL, credential TEXT NOT NULL, ends INTEGER NOT NULL, PRIMARY KEY (holder, id)
);
CREATE TABLE IF NOT EXISTS counts (
    key TEXT NOT NULL, part INTEGER NOT NULL, number INTEGER NOT NULL, ends INTEGER NOT NULL, PRIMARY KEY (key, part)
);
CREATE TABLE IF NOT EXISTS slots (
    key TEXT NOT NULL, slot TEXT NOT NULL, ends REAL NOT NULL, PRIMARY KEY (key, slot)
);
"""


class SQLiteCredentials(Credentials):
    """The credentials in the file `path`. The first use makes it."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock=clock)
        self._file = SQLiteFile(path, "The credentials", self._prepare)

    async def keep(self, credential: Credential) -> None:
        values = (credential.holder, credential.id, msgspec.json.encode(credential).decode(), credential.ends)
        await self._file.run(
            lambda c: c.execute("INSERT OR REPLACE INTO credentials VALUES (?, ?, ?, ?)", values).close()
        )

    async def end(self, holder: str, credential_id: str) -> bool:
        delete = "DELETE FROM credentials WHERE holder = ? AND id = ?"
        return await self._file.run(lambda c: c.execute(delete, (holder, credential_id)).rowcount) == 1

    async def count(self, key: str, window_s: int) -> int:
        part = self._window(window_s)
        count = (
            "INSERT INTO counts VALUES (?, ?, 1, ?)"
            " ON CONFLICT (key, part) DO UPDATE SET number = number + 1 RETURNING number"
        )
        values = (key, part, (part + 1) * window_s)
        ((number,),) = await self._file.run(lambda c: c.execute(count, values).fetchall())
        return int(number)

    async def spend(self, key: str, window_s: int, amount: int, limit: int) -> bool:
        part = self._window(window_s)
        add = (
            "INSERT INTO counts SELECT :key, :part, :amount, :ends WHERE :amount <= :limit"
            " ON CONFLICT (key, part) DO UPDATE SET number = number + :amount WHERE number + :amount <= :limit"
        )
        values = {"key": key, "part": part, "amount": amount, "limit": limit, "ends": (part + 1) * window_s}
        return await self._file.run(lambda c: c.execute(add, values).rowcount) == 1

    async def refund(self, key: str, window_s: int, amount: int, spent_at: int) -> None:
        refund = "UPDATE counts SET number = number - :amount WHERE key = :key AND part = :part AND number >= :amount"
        values = {"key": key, "part": spent_at // window_s, "amount": amount}
        await self._file.run(lambda c: c.execute(refund, values).close())

    async def spent(self, key: str, window_s: int) -> int:
        query = "SELECT number FROM counts WHERE key = ? AND part = ?"
        rows = await self._file.run(lambda c: c.execute(query, (key, self._window(window_s))).fetchall())
        return int(rows[0][0]) if rows else 0

    async def take(self, key: str, slot: str, limit: int, lasts_s: int) -> bool:
        take = (
            "INSERT OR REPLACE INTO slots SELECT :key, :slot, :ends"
            " WHERE (SELECT count(*) FROM slots WHERE key = :key AND slot <> :slot AND ends > :now) < :limit"
        )
        now = self._clock()
        values = {"key": key, "slot": slot, "ends": now + lasts_s, "now": now, "limit": limit}
        return await self._file.run(lambda c: c.execute(take, values).rowcount) == 1

    async def give_back(self, key: str, slot: str) -> None:
        delete = "DELETE FROM slots WHERE key = ? AND slot = ?"
        await self._file.run(lambda c: c.execute(delete, (key, slot)).close())

    async def taken(self, key: str) -> int:
        query = "SELECT count(*) FROM slots WHERE key = ? AND ends > ?"
        ((number,),) = await self._file.run(lambda c: c.execute(query, (key, self._clock())).fetchall())
        return int(number)

    async def close(self) -> None:
        await self._file.close()

    async def _find(self, holder: str, credential_id: str) -> Credential | None:
        query = "SELECT credential FROM credentials WHERE holder = ? AND id = ?"
        rows = await self._file.run(lambda c: c.execute(query, (holder, credential_id)).fetchall())
        return _credential(rows[0]) if rows else None

    async def _of(self, holder: str) -> list[Credential]:
        query = "SELECT credential FROM credentials WHERE holder = ?"
        return [_credential(row) for row in await self._file.run(lambda c: c.execute(query, (holder,)).fetchall())]

    async def _note_use(self, credential: Credential) -> None:
        change = "UPDATE credentials SET credential = ?, ends = ? WHERE holder = ? AND id = ?"
        values = (msgspec.json.encode(credential).decode(), credential.ends, credential.holder, credential.id)
        await self._file.run(lambda c: c.execute(change, values).close())

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.executescript(_SCHEMA)
        tables = dict.fromkeys(("credentials", "counts", "slots"), "ends <= ?")
        if deletion := expired(connection, tables, self._clock()):
            deletion(connection)


def _credential(row: tuple[str]) -> Credential:
    return msgspec.json.decode(row[0], type=Credential)
