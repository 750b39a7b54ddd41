"""A closed store is one file: whoever copies or deletes it needs no other."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tailrace.agent.checkpoints.sqlite import open_sqlite
from tailrace.log import Head
from tailrace.log.sqlite import SQLiteLog

TIMES = 40
HEAD = Head(task_id="t", owner="me", context_id="c", agent="a")


async def closed_log(path: Path) -> None:
    log = SQLiteLog(path)
    await log.create(HEAD, b"{}")
    await asyncio.gather(log.head("t"), log.read("t"))
    await log.close()


async def closed_checkpoints(path: Path) -> None:
    async with open_sqlite(path, 60) as saver:
        await saver.aget_tuple({"configurable": {"thread_id": "t", "checkpoint_ns": ""}})
        await saver.adelete_thread("t")


async def open_and_close(folder: Path) -> None:
    for number in range(TIMES):
        await closed_log(folder / f"log {number}")
        await closed_checkpoints(folder / f"checkpoints {number}")


def test_a_closed_store_leaves_no_write_ahead_log(tmp_path: Path) -> None:
    asyncio.run(open_and_close(tmp_path))
    kinds = ("log", "checkpoints")
    assert {path.name for path in tmp_path.iterdir()} == {f"{kind} {n}" for kind in kinds for n in range(TIMES)}
