"""A function ends when the process that runs all of them is gone, also when that was killed and could end nothing.

Every function has the read end of a pipe, and only the supervisor has its write end. When the supervisor is gone, the
system closes that end, and the functions read the end of the pipe. Without this they would go on at the old address,
with a secret that nobody knows any more.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import cache

# Names the descriptor to a function.
VARIABLE = "TAILRACE_LIFELINE_FD"
# How long a function may take to stop before it is killed.
_STOP_S = 5.0


@cache
def lifeline() -> int:
    """The descriptor to give to functions. It is open for as long as this process lives."""
    read_end, _ = os.pipe()
    return read_end


def end_with_supervisor() -> None:
    """Stop this process when the supervisor that has started it is gone. Does nothing without a supervisor."""
    descriptor = os.environ.pop(VARIABLE, "")
    if descriptor:
        threading.Thread(target=_wait, args=(int(descriptor),), name="lifeline", daemon=True).start()


def _wait(descriptor: int) -> None:
    os.read(descriptor, 1)  # Nobody writes, so it returns when the write end is closed.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_S)
    os.kill(os.getpid(), signal.SIGKILL)
