"""Makes a sample's process die at one of its writes to the log or the checkpoints.

The writes are counted over all processes of the sample. If the variable DIES_AT is n, it dies at the nth: before the
write, or after it if DIES_LATE is set. Then the file `died` exists.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tailrace.agent.checkpoints.attempt_saver import AttemptSaver
from tailrace.config import Settings
from tailrace.log.sqlite import SQLiteLog

_FOLDER = Path(Settings.load().data_dir)
WRITES, DIED = _FOLDER / "writes", _FOLDER / "died"


def die_at_a_write() -> None:
    """Count the writes of this agent's process, and kill it at the one that the environment names."""
    die_at(SQLiteLog, "create_or_find", "claim", "append", "update_state", "sleep", "wake", "request_wake")
    die_at(AttemptSaver, "aput", "aput_writes")


def die_at(kind: type, *names: str) -> None:
    """Count the calls of these methods as writes, and kill the process at the one that the environment names."""
    for name in names:
        _deadly(kind, name)


def _die() -> None:
    DIED.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def _deadly(kind: type, name: str) -> None:
    """Make a method count its calls, and kill the process at one of them."""
    method = getattr(kind, name)

    async def call(*args: Any, **named: Any) -> Any:
        with WRITES.open("a") as writes:
            writes.write(".")
        dies = WRITES.stat().st_size == int(os.environ.get("DIES_AT", "0"))
        if dies and "DIES_LATE" not in os.environ:
            _die()
        result = await method(*args, **named)
        if dies:
            _die()
        return result

    setattr(kind, name, call)
