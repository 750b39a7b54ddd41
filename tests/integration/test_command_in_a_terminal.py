"""The command `tailrace` in a terminal: it finds `make run`, shows a run live, and asks what the task asks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.processes import Stack


class Terminal:
    """A terminal with a command in it. `shown` is what the command has written to it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.shown = ""

    async def until(self, words: str) -> None:
        """Read until these words are shown."""
        while words not in self.shown:
            assert await self.read(), f"{words!r} was not shown: {self.shown}"

    async def read(self) -> bool:
        """Read what is there. False at the end."""
        try:
            piece = await asyncio.to_thread(os.read, self.master, 65_536)
        except OSError:  # all its ends are closed
            return False
        self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece.decode(errors="replace"))
        return bool(piece)

    def write(self, text: str) -> None:
        os.write(self.master, text.encode())


@contextlib.asynccontextmanager
async def command(shipped: Stack, folder: Path, *arguments: str) -> AsyncIterator[tuple[Terminal, Process]]:
    """Run the command in a terminal, in `folder`; end it with the block."""
    terminal = Terminal()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tailrace", *arguments),
        cwd=folder,
        env={**os.environ, "TAILRACE_DATA_DIR": str(shipped.folder), "TERM": "xterm-256color", "COLUMNS": "120"},
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
    )
    os.close(terminal.slave)
    try:
        async with asyncio.timeout(90):
            yield terminal, process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(terminal.master)


async def test_a_person_asks_is_asked_and_reads_the_report(shipped: Stack, tmp_path: Path) -> None:
    lines = [f"2026-01-01T10:{m:02}:{s:02}Z INFO ok {s}\n" for m in range(10) for s in range(0, 60, 5)]
    (tmp_path / "app.log").write_text("".join(lines))
    async with command(shipped, tmp_path, "ask", "checkout is broken") as (terminal, process):
        await terminal.until("> ")
        assert "? " in terminal.shown
        terminal.write("@app.log\n")
        while await terminal.read():
            pass
        assert await process.wait() == 0, terminal.shown
    assert "✓ log_analyst · " in terminal.shown
    assert "tailrace:" not in terminal.shown


async def test_ctrl_c_ends_the_watching_and_says_how_to_come_back(shipped: Stack, tmp_path: Path) -> None:
    async with command(shipped, tmp_path, "ask", "checkout is broken") as (terminal, process):
        await terminal.until("> ")
        process.send_signal(signal.SIGINT)
        while await terminal.read():
            pass
        assert await process.wait() == 130, terminal.shown
    assert "-m tailrace tail " in terminal.shown
    assert "Traceback" not in terminal.shown
