"""Processes of tests that end with the process that started them, also if that is killed. Linux only."""

from __future__ import annotations

import ctypes
import shutil
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(number: signal.Signals) -> None:
    """Get a signal when the thread that started this process ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def ending_with_parent(*command: str) -> list[str]:
    """The command of a program that is terminated when the thread that starts it ends."""
    setpriv = shutil.which("setpriv")  # of util-linux
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else list(command)
