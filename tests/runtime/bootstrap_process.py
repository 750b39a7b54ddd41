"""The process of an execution environment: the exec wrapper's, or one that the tests' fork server starts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Protocol

from tests.support.fork_server import shared

_LOG_LIMIT = 8 * 1024 * 1024


class Process(Protocol):
    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    async def wait(self) -> int: ...


async def start_bootstrap(
    command: Sequence[str], environ: Mapping[str, str], pass_fds: Sequence[int], *, forked: bool
) -> tuple[Process, asyncio.StreamReader]:
    """Start the runtime's process; return it and its log.

    `command` is the exec wrapper with its arguments. A forked process skips the wrapper and has imported before what
    the functions of this project need.
    """
    if not forked:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=_LOG_LIMIT,
            pass_fds=pass_fds,
        )
        assert process.stdout is not None
        return process, process.stdout
    log = asyncio.StreamReader(_LOG_LIMIT)
    reading, writing = os.pipe()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(log), os.fdopen(reading, "rb", buffering=0)
    )
    script = f"{os.path.dirname(command[0])}/python/tailrace_runtime/__main__.py"
    descriptors = {1: writing, 2: writing, **{number: number for number in pass_fds}}
    try:
        return await shared().start([script], {**environ, "PYTHONUNBUFFERED": "1"}, descriptors), log
    finally:
        os.close(writing)
