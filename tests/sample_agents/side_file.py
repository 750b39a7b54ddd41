"""A record of finished nodes outside the log, for tests that check the log."""

from __future__ import annotations

import json
import os
import time

from langgraph.config import get_config

from tailrace.authoring.emit import current_step


def done(node: str) -> None:
    """Record durably that a node has finished its work. A node calls this last.

    `at` is the machine's monotonic clock in seconds, which all its processes share.
    """
    path = os.environ.get("CHAOS_SIDE_FILE")
    if path is None:
        return
    task = get_config()["configurable"]["thread_id"]
    line = json.dumps({"task": task, "node": node, "step": current_step(), "pid": os.getpid(), "at": time.monotonic()})
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode() + b"\n")
        os.fsync(file)
    finally:
        os.close(file)
