"""Gates for agents in processes of their own: "20 before NAME" in a request waits there for the file `go on NAME`."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tailrace import request
from tailrace.config import Settings

FOLDER = Path(Settings.load().data_dir)


async def pass_gates(number: int) -> None:
    """Wait at the request's gates behind this number until the data folder has their files."""
    for behind, name in re.findall(r"(\d+) before (\w+)", request().text):
        while int(behind) == number and not (FOLDER / f"go on {name}").exists():
            await asyncio.sleep(0.01)
