"""What a test starts ends with the test's process, however that ends."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.support.conditions import eventually
from tests.support.orphans import ending_with_parent

_CHILD = """
import signal, sys
from tests.support.orphans import end_with_parent
end_with_parent(signal.SIGINT)
print("ready", flush=True)
signal.pause()
"""
_PARENT = """
import subprocess, sys
from pathlib import Path
child = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE)
assert child.stdout.readline() == b"ready\\n"
Path(sys.argv[1]).write_text(str(child.pid))
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
@pytest.mark.parametrize("asks", [True, False])
async def test_a_process_ends_with_its_killed_parent(asks: bool, tmp_path: Path) -> None:
    child = [sys.executable, "-c", _CHILD] if asks else ending_with_parent("sh", "-c", "echo ready; exec sleep 600")
    number = tmp_path / "pid"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", _PARENT, str(number), *child)
    await eventually(lambda: number.exists() and number.read_text())
    pid = int(number.read_text())
    os.kill(pid, 0)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    """Whether the process runs. One that has ended may wait for who adopted it to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
