"""Keeps the functions running: each is started, watched until it answers, and started again when it ends.

An agent that cannot start takes nothing else with it: the console shows why, its callers are told at once, and it is
started again as soon as its files change. Without the gateway or the orchestrator nothing is of use, so if one of
those does not start, `ready` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import IO

import httpx

from local.ending import end
from local.functions import FUNCTIONS, Function, environment
from local.lifeline import VARIABLE, lifeline
from local.stand_in import StandIn
from tailrace.errors import TailraceError

REQUIRED = ("gateway", "orchestrator")
# How long a required function may take to answer, and another one before everything else goes on without it.
_READY_S, _SLOW_S = 60.0, 30.0
# A function that dies young is restarted after this, then twice this, and so on up to the most. One that does not get
# as far as answering waits longer: each try costs seconds of computing, and its files are watched.
_RESTART_S, _RESTART_MOST_S, _BROKEN_MOST_S = 0.2, 10.0, 60.0
_YOUNG_S = 10.0
_LOOK_S = 0.05
_WATCH_S = 0.5
# What is shown of a log.
_LINES, _COLUMNS = 25, 300


class StartError(TailraceError):
    """A function that is required does not start. The message says why, and where its log is."""


class Keeper:
    """Keeps one function running. `settled` is set when it is known whether it answers."""

    def __init__(self, function: Function, log_path: Path, environ: dict[str, str], http: httpx.AsyncClient) -> None:
        self.function = function
        self.settled = asyncio.Event()
        self.up = False
        self.why = ""
        self._log_path = log_path
        self._environment = environ
        self._http = http
        self._process: asyncio.subprocess.Process | None = None
        why = f"{function.name} does not run; its log is {log_path}.\n"
        self._stand_in = StandIn(function.listener, why) if function.listener is not None else None
        self._told = ""

    async def keep(self) -> None:
        pause, worked = _RESTART_S, -1.0
        with self._log_path.open("ab") as log:
            while True:
                started, begins_at = time.monotonic(), log.seek(0, 2)
                seen = _newest(self.function.name)
                self.up = False
                process = self._process = await self._spawn(log)
                looking = asyncio.create_task(self._look())
                try:
                    code = await process.wait()
                finally:
                    looking.cancel()
                young = time.monotonic() - started < _YOUNG_S
                worked = seen if self.up else worked
                # Killed while it started, as it may be when memory is short, and with these files it has answered
                # before: callers are to wait for it, or a task that it had under way would be given up.
                killed = code == -signal.SIGKILL and worked == seen
                if self.up or killed or not (young or self.function.url):
                    ending = f"{self.function.name} ended ({_ending(code)}) and is started again"
                    say(f"{ending}; its log is {self._log_path}")
                    pause = min(pause * 2, _RESTART_MOST_S) if young else _RESTART_S
                    await asyncio.sleep(pause)
                    continue
                await self._tell(code, begins_at)
                pause = min(pause * 2, _BROKEN_MOST_S)
                if await self._changes(seen, pause):
                    pause = _RESTART_S

    async def stop(self) -> None:
        if self._stand_in is not None:
            self._stand_in.end()
        if self._process is not None:
            await end(self._process)

    async def _spawn(self, log: IO[bytes]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *self.function.arguments,
            env={**self._environment, VARIABLE: str(lifeline())},
            stdout=log,
            stderr=log,
            pass_fds=(*self.function.descriptors, lifeline()),
            # Ctrl-C is for the supervisor, which then stops the functions one way for all.
            start_new_session=True,
        )

    async def _look(self) -> None:
        """Note it when the function answers; when it takes long, let everything else go on without it."""
        name = self.function.name
        if not self.function.url:
            self.settled.set()
            return
        slow_s = _READY_S if name in REQUIRED else _SLOW_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(slow_s):
                await self._answers()
        if not self.up:
            self.why = f"{name} did not answer within {slow_s:g} s; its log is {self._log_path}"
            self.settled.set()
            if name not in REQUIRED:
                say(f"{self.why}. Everything else goes on without it.")
                await self._refuse_callers()
            self._told = self.why
            await self._answers()
        if self._stand_in is not None:
            self._stand_in.end()
        if self._told:
            say(f"{name} answers now.")
            self._told = ""
        self.settled.set()

    async def _answers(self) -> None:
        """Return when the function answers."""
        path = "api/health" if self.function.name == "gateway" else ".well-known/agent-card.json"
        while not self.up:
            with contextlib.suppress(httpx.HTTPError):
                self.up = (await self._http.get(self.function.url + path)).status_code == 200
            await asyncio.sleep(_LOOK_S)

    async def _tell(self, code: int, begins_at: int) -> None:
        """Say that the function ended before it answered, with what it said last; once for the same words."""
        said = _tail(self._log_path, begins_at)
        name, ending = self.function.name, _ending(code)
        last = f" ends with:\n\n{said}\n\n" if said else " says nothing. "
        self.why = f"{name} does not start: it ended before it answered ({ending}). Its log, {self._log_path},{last}"
        if name not in REQUIRED and self.why != self._told:
            self._told = self.why
            again = "It is tried again after a while, and at once when its files change."
            say(f"{self.why}Everything else goes on without it. {again}")
        # Somebody has killed it: it is worth another try.
        if code >= 0 or name not in REQUIRED:
            self.settled.set()
            await self._refuse_callers()

    async def _refuse_callers(self) -> None:
        if self._stand_in is not None:
            await self._stand_in.begin()

    async def _changes(self, seen: float, within_s: float) -> bool:
        """Whether the function's files change within so many seconds; returns as soon as they do."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            await asyncio.sleep(min(_WATCH_S, within_s))
            if _newest(self.function.name) != seen:
                return True
        return False


class Supervisor:
    """Keeps all functions running."""

    def __init__(self, functions: list[Function], logs: Path, run_secret: str) -> None:
        environ = environment(functions, run_secret)
        self._http = httpx.AsyncClient()
        self._keepers = [Keeper(each, logs / f"{each.name}.log", environ, self._http) for each in functions]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(keeper.keep()) for keeper in self._keepers]

    async def ready(self) -> None:
        """Return when the gateway and the orchestrator answer, and of the others is known whether they do.

        Raises:
            StartError: one of those two does not.
        """
        for keeper in self._keepers:
            if keeper.function.name in REQUIRED:
                await keeper.settled.wait()
                if not keeper.up:
                    raise StartError(keeper.why)
        await asyncio.gather(*(keeper.settled.wait() for keeper in self._keepers))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers))
        await self._http.aclose()


def say(text: str) -> None:
    print(text, flush=True)


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _tail(log: Path, begins_at: int) -> str:
    """The last lines of a log after a place in it."""
    with log.open("rb") as file:
        file.seek(begins_at)
        lines = file.read().decode(errors="replace").rstrip().splitlines()
    return "\n".join(f"    {line[:_COLUMNS]}" for line in lines[-_LINES:])


def _newest(name: str) -> float:
    """When a function's files were changed last; 0 if it has none of its own."""
    times = [0.0]
    for path in (FUNCTIONS / name).rglob("*.py"):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)
