"""Makes a sample agent's process die at one of its writes to the log or the checkpoints.

The writes are counted over all processes of the agent. If the variable DIES_AT is n, it dies at the nth: before the
write, or after it if DIES_LATE is set.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tailrace.agent.checkpoints.attempt_saver import AttemptSaver
from tailrace.config import Settings
from tailrace.log.sqlite import SQLiteLog

WRITES = Path(Settings.load().data_dir) / "writes"


def die_at_a_write() -> None:
    """Count the writes of this process, and kill it at the one that the environment names."""
    for name in ("create", "claim", "append", "update_state"):
        _deadly(SQLiteLog, name)
    for name in ("aput", "aput_writes"):
        _deadly(AttemptSaver, name)


def _deadly(kind: type, name: str) -> None:
    """Make a method count its calls, and kill the process at one of them."""
    method = getattr(kind, name)

    async def call(*args: Any, **named: Any) -> Any:
        with WRITES.open("a") as writes:
            writes.write(".")
        dies = WRITES.stat().st_size == int(os.environ.get("DIES_AT", "0"))
        if dies and "DIES_LATE" not in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        result = await method(*args, **named)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(kind, name, call)
