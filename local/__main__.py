"""`python -m local`: every function as a process of its own, restarted when it dies, until Ctrl-C.

Prints the address of the page when everything answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO

import httpx

from local.ending import end
from local.functions import Function, all_functions, environment
from local.run_secret import run_secret
from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.private import private_folder

_READY_S = 60.0
# A function that dies young is restarted after this, then twice this, and so on up to the most.
_RESTART_S, _RESTART_MOST_S = 0.2, 10.0
_YOUNG_S = 10.0


class Supervisor:
    """Keeps the functions running."""

    def __init__(self, functions: list[Function], logs: Path, run_secret: str) -> None:
        self._functions = functions
        self._logs = logs
        self._environment = environment(functions, run_secret)
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._keepers = [asyncio.create_task(self._keep(function)) for function in self._functions]

    async def ready(self) -> None:
        """Return when every function answers.

        Raises:
            TimeoutError: one did not in time. The message names it and its log.
        """
        async with httpx.AsyncClient() as http:
            for function in self._functions:
                if not function.url:
                    continue
                path = "api/health" if function.name == "gateway" else ".well-known/agent-card.json"
                try:
                    async with asyncio.timeout(_READY_S):
                        await _answers(http, function.url + path)
                except TimeoutError:
                    log = self._logs / f"{function.name}.log"
                    raise TimeoutError(f"{function.name} did not answer within {_READY_S:.0f} s; see {log}") from None

    async def stop(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(end(process) for process in self._processes.values()))

    async def _keep(self, function: Function) -> None:
        log_path = self._logs / f"{function.name}.log"
        pause = _RESTART_S
        with log_path.open("ab") as log:
            while True:
                started = time.monotonic()
                process = await self._spawn(function, log)
                code = await process.wait()
                pause = min(pause * 2, _RESTART_MOST_S) if time.monotonic() - started < _YOUNG_S else _RESTART_S
                say(f"{function.name} ended ({_ending(code)}) and is started again; its log is {log_path}")
                await asyncio.sleep(pause)

    async def _spawn(self, function: Function, log: IO[bytes]) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *function.arguments,
            env=self._environment,
            stdout=log,
            stderr=log,
            pass_fds=function.descriptors,
            # Ctrl-C is for the supervisor, which then stops the functions one way for all.
            start_new_session=True,
        )
        self._processes[function.name] = process
        return process


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


async def _answers(http: httpx.AsyncClient, url: str) -> None:
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if (await http.get(url)).status_code == 200:
                return
        await asyncio.sleep(0.05)


def say(text: str) -> None:
    print(text, flush=True)


async def run() -> None:
    settings = Settings.load()
    with run_secret(settings) as secret:
        await supervise(settings, secret)


async def supervise(settings: Settings, secret: str) -> None:
    """Run all functions, which share the secret, until a signal comes."""
    logs = private_folder(private_folder(Path(settings.data_dir)) / "logs")
    functions = all_functions(settings.port)
    supervisor = Supervisor(functions, logs, secret)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    supervisor.start()
    ready, stop = asyncio.create_task(supervisor.ready()), asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait([ready, stop], return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            say(functions[-1].url.rstrip("/"))
            await stop
    finally:
        ready.cancel()
        stop.cancel()
        await supervisor.stop()


def main() -> None:
    # What this and the functions write (logs say what users asked) is for the user who runs them.
    os.umask(0o077)
    try:
        asyncio.run(run())
    except (ConfigError, TimeoutError, OSError) as error:
        raise SystemExit(f"tailrace: {error}") from None


if __name__ == "__main__":
    main()
