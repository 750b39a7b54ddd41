"""Ends a function when its supervisor is gone, also if that was killed and could end nothing itself.

Every function has the read end of a pipe, and only the supervisor has the write end. When the supervisor is gone, the
system closes the write end, and the functions read the end of the pipe. Otherwise they would go on at their old
addresses with a secret that no longer exists.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import cache

# Has the descriptor of the read end.
VARIABLE = "TAILRACE_LIFELINE_FD"
# How long a function may take to stop before it is killed.
_STOP_S = 5.0


@cache
def lifeline() -> int:
    """Return the descriptor for the functions. The pipe stays open as long as this process lives."""
    read_end, _ = os.pipe()
    return read_end


def end_with_supervisor() -> None:
    """Stop this process when its supervisor is gone. Without a supervisor do nothing."""
    descriptor = os.environ.pop(VARIABLE, "")
    if descriptor:
        threading.Thread(target=_wait, args=(int(descriptor),), name="lifeline", daemon=True).start()


def _wait(descriptor: int) -> None:
    os.read(descriptor, 1)  # Nothing is ever written, so it returns when the write end is closed.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_S)
    os.kill(os.getpid(), signal.SIGKILL)
