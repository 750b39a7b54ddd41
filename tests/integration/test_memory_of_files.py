"""Compressed files of a request cost the processes of `make run` almost no memory."""

from __future__ import annotations

import asyncio
import base64
import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import checkout
from tests.support.gateway import post_task, read_stream
from tests.support.processes import stack

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux: /proc has the peak")

PROCESSES = ("gateway", "orchestrator", "log_analyst")
AT_ONCE = 8
# One such file as Python text takes 256 MB. The limit leaves room for allocators and threads.
MOST = 64_000_000


def bomb() -> dict[str, Any]:
    """Return 64 MB of text as 83 KB; its emoji makes Python use four bytes per character."""
    packed = gzip.compress(b"x" * 63_990_000 + "😀".encode())
    return {"raw": base64.b64encode(packed).decode(), "filename": "app.log.gz", "mediaType": "application/gzip"}


def peak(pid: int | None) -> int:
    """Return the peak memory of a process in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) * 1024


async def test_eight_concurrent_64_mb_files_do_not_stay_in_memory(tmp_path: Path) -> None:
    parts = [{"text": "What is wrong?"}, bomb()]
    root = checkout(tmp_path / "checkout", ["metric_analyst"])
    async with stack(tmp_path, root) as running, running.client(timeout=120) as http:
        logs = {"text": "2026-01-01 00:00:00 INFO x\n" * 2, "filename": "app.log"}
        await read_stream(http, await post_task(http, logs))
        before = {name: peak(await running.pid_of(name)) for name in PROCESSES}
        tasks = await asyncio.gather(*(post_task(http, *parts) for _ in range(AT_ONCE)))
        for seen in await asyncio.gather(*(read_stream(http, task) for task in tasks)):
            assert seen.state == "TASK_STATE_COMPLETED"
        grown = {name: peak(await running.pid_of(name)) - before[name] for name in PROCESSES}
    print("bytes of memory that eight tasks of 64 MB took:", grown)
    assert max(grown.values()) < MOST, grown
