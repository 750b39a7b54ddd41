"""`python -m tests.contract.checkpoint_writer FILE COUNT` saves COUNT checkpoints in FILE, each with writes.

It first prints "ready" and waits for the signal `BEGIN`, then prints the number of each saved checkpoint.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from tailrace.agent.checkpoints.sqlite import open_sqlite

BEGIN = signal.SIGUSR1


async def main(path: Path, count: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {BEGIN})
    print("ready", flush=True)
    signal.sigwait({BEGIN})
    async with open_sqlite(path, 86_400) as saver:
        for number in range(count):
            checkpoint = empty_checkpoint()
            checkpoint.update(id=str(uuid6()), channel_values={"number": number, "more": "x" * 20_000})
            config: Any = {"configurable": {"thread_id": f"{os.getpid()}", "checkpoint_ns": ""}}
            config = await saver.aput(config, checkpoint, {"step": number}, {})
            await saver.aput_writes(config, [(f"channel {n}", "x" * 1000) for n in range(20)], "task")
            print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
