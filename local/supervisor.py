"""Keeps the functions running: each is started, checked until it answers, and restarted when it ends.

When a function's files change, its process ends as on Ctrl-C, which releases its runs, and a new one starts at the same
address. A function that cannot start does not stop the others: the console shows the reason, and its callers get an
error at once. Without the gateway or the orchestrator nothing works, so `ready` fails if one of them does not start.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import httpx

from local.ending import Process, end
from local.functions import FUNCTIONS, Function, environment
from local.lifeline import VARIABLE, lifeline
from local.packages import are_installed
from local.stand_in import StandIn
from local.watching import changed_functions
from tailrace.config import Settings
from tailrace.errors import TailraceError

REQUIRED = ("gateway", "orchestrator")
# How long a required function may take to answer, and another one before the rest goes on without it.
_READY_S, SLOW_S = 60.0, 30.0
# The pause before a restart. It doubles, up to the second number, for a function that lives less than `_YOUNG_S`. For
# one that never answers it doubles up to the third: each attempt costs seconds of computing, and its files are watched.
_RESTART_S, _RESTART_MOST_S, _BROKEN_MOST_S = 0.2, 10.0, 60.0
_YOUNG_S = 10.0
# Pause between two requests to a function that does not answer yet.
_LOOK_S = 0.05
# How many lines of a log are shown, and how many characters of each.
_LINES, _COLUMNS = 25, 300


class StartError(TailraceError):
    """A required function does not start. The message says why, and where its log is."""


async def spawn(function: Function, environ: Mapping[str, str], inherited: int, log: IO[bytes]) -> Process:
    """Start a process for the function, which has its descriptors and the `inherited` one, and writes to `log`."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *function.arguments,
        env=environ,
        stdout=log,
        stderr=log,
        pass_fds=(*function.descriptors, inherited),
        # Ctrl-C reaches only the supervisor, which then stops all functions in the same way.
        start_new_session=True,
    )


class Keeper:
    """Keeps one function running.

    `settled` is set when it is known whether the function answers. `up` is whether it does, `problem` why it does not.
    """

    def __init__(self, function: Function, log_path: Path, environ: dict[str, str], http: httpx.AsyncClient) -> None:
        self.function = function
        self.settled = asyncio.Event()
        self.up = False
        self.problem = ""
        self._log_path = log_path
        self._environment = {**environ, VARIABLE: str(lifeline())}
        self._http = http
        self._process: Process | None = None
        self._stand_in = StandIn(function.listener) if function.listener is not None else None
        self._reported = ""
        # Whether the console shows that it does not answer.
        self._missed = False
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Start the function anew, because its files have changed."""
        self._changed.set()

    async def keep(self) -> None:
        """Start the function and restart it whenever it ends, until this is cancelled."""
        pause, worked = _RESTART_S, False
        with self._log_path.open("ab") as log:
            while True:
                started, log_start = time.monotonic(), log.seek(0, 2)
                self._changed.clear()
                self.up = False
                process = self._process = await spawn(self.function, self._environment, lifeline(), log)
                looking = asyncio.create_task(self._look())
                try:
                    code = await self._until_ended_or_changed(process)
                finally:
                    looking.cancel()
                if code is None:
                    say(f"{self.function.name} has changed and is started anew.")
                    pause, worked, self._reported, self._missed = _RESTART_S, False, "", True
                    await end(process)
                    continue
                young = time.monotonic() - started < _YOUNG_S
                worked = worked or self.up
                # It was killed while it started, for example because memory was short, but with the same files it has
                # answered before. Its callers have to wait for it, or the tasks that it runs would be given up.
                killed = code == -signal.SIGKILL and worked
                if self.up or killed or not (young or self.function.url):
                    ending = f"{self.function.name} ended ({_ending(code)}) and is restarted"
                    say(f"{ending}; its log is {self._log_path}")
                    pause = min(pause * 2, _RESTART_MOST_S) if young else _RESTART_S
                    await asyncio.sleep(pause)
                    continue
                await self._report(code, log_start)
                pause = min(pause * 2, _BROKEN_MOST_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
                    pause, self._reported = _RESTART_S, ""

    async def stop(self) -> None:
        """End the function and whatever answers for it."""
        if self._stand_in is not None:
            await self._stand_in.stop()
        if self._process is not None:
            await end(self._process)

    async def _until_ended_or_changed(self, process: Process) -> int | None:
        """Return the exit code of the process, or None as soon as the function's files change."""
        ended, changed = asyncio.create_task(process.wait()), asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait([ended, changed], return_when=asyncio.FIRST_COMPLETED)
            return None if changed.done() else ended.result()
        finally:
            ended.cancel()
            changed.cancel()

    async def _look(self) -> None:
        """Set `settled` when the function answers, or when it takes so long that the rest goes on without it."""
        name = self.function.name
        if not self.function.url:
            self.settled.set()
            return
        # `ready` reports a required function that has not started yet.
        tell = name not in REQUIRED or self.settled.is_set()
        slow_s = _READY_S if name in REQUIRED else SLOW_S
        await self._own_packages()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(slow_s):
                await self._answers()
        if not self.up:
            self.problem = f"{name} did not answer within {slow_s:g} s; its log is {self._log_path}"
            self.settled.set()
            if tell:
                say(f"{self.problem}. The rest goes on without it.")
                await self._refuse_callers()
            self._missed = True
            await self._answers()
        if self._stand_in is not None:
            self._stand_in.end()
        if self._missed:
            say(f"{name} answers now.")
            self._reported, self._missed = "", False
        self.settled.set()

    async def _own_packages(self) -> None:
        """Return when the function's own packages are installed. Until then everybody learns what they wait for."""
        name = self.function.name
        requirements, data = FUNCTIONS / name / "requirements.txt", Path(Settings.load().data_dir)
        if are_installed(requirements, data):
            return
        why = f"{name} installs functions/{name}/requirements.txt. This may take some minutes."
        if not self._reported:  # it may be the next of many tries
            say(why)
        self._missed = True
        await self._refuse_callers(why)
        if name not in REQUIRED:
            self.settled.set()
        while not are_installed(requirements, data):  # noqa: ASYNC110 - another process makes the folder
            await asyncio.sleep(_LOOK_S)

    async def _answers(self) -> None:
        """Return when the function answers."""
        path = "api/health" if self.function.name == "gateway" else ".well-known/agent-card.json"
        while not self.up:
            with contextlib.suppress(httpx.HTTPError):
                self.up = (await self._http.get(self.function.url + path)).status_code == 200
            await asyncio.sleep(_LOOK_S)

    async def _report(self, code: int, log_start: int) -> None:
        """Report that the function ended before it answered, with the end of its log; the same text only once."""
        tail = _tail(self._log_path, log_start)
        name, ending = self.function.name, _ending(code)
        last = f" ends with:\n\n{tail}\n\n" if tail else " has no new lines. "
        self.problem = (
            f"{name} does not start: it ended before it answered ({ending}). Its log, {self._log_path},{last}"
        )
        if (name not in REQUIRED or self.settled.is_set()) and self.problem != self._reported:
            self._reported, self._missed = self.problem, True
            retry = "It is restarted after a while, and at once when its files change."
            say(f"{self.problem}The rest goes on without it. {retry}")
        # A required function that was killed is only restarted.
        if code >= 0 or name not in REQUIRED:
            self.settled.set()
            await self._refuse_callers()

    async def _refuse_callers(self, why: str = "") -> None:
        if self._stand_in is not None:
            await self._stand_in.begin(why or f"{self.function.name} does not run. The console of `make run` says why.")


class Supervisor:
    """Keeps all functions running. Their logs are in the folder `logs`."""

    def __init__(self, functions: list[Function], logs: Path, run_secret: str) -> None:
        environ = environment(functions, run_secret)
        self._http = httpx.AsyncClient()
        self._keepers = [Keeper(each, logs / f"{each.name}.log", environ, self._http) for each in functions]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start all functions, and watch their files; return at once."""
        watching = asyncio.create_task(self._watch())  # before the processes read their files
        self._tasks = [watching, *(asyncio.create_task(keeper.keep()) for keeper in self._keepers)]

    async def ready(self) -> None:
        """Return when the gateway and the orchestrator answer, and it is known whether the others do.

        Raises:
            StartError: the gateway or the orchestrator does not answer.
        """
        for keeper in self._keepers:
            if keeper.function.name in REQUIRED:
                await keeper.settled.wait()
                if not keeper.up:
                    raise StartError(keeper.problem)
        await asyncio.gather(*(keeper.settled.wait() for keeper in self._keepers))

    async def _watch(self) -> None:
        """Start each function anew whose files change.

        A new one is only told of: the others have its address from their start on.
        """
        keepers = {keeper.function.name: keeper for keeper in self._keepers}
        told: set[str] = set()
        try:
            async for names in changed_functions(keepers):
                for name in names & keepers.keys():
                    keepers[name].change()
                for name in names - keepers.keys() - told:
                    say(f"functions/{name} is new. It starts with the next `make run`: end this one with Ctrl-C.")
                    told.add(name)
        except OSError as error:
            say(f"The files of the agents are not watched ({error}). Start this again after a change.")

    async def stop(self) -> None:
        """End all functions."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers))
        await self._http.aclose()


def say(text: str) -> None:
    print(text, flush=True)


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _tail(log: Path, log_start: int) -> str:
    """Return the last lines of a log after a position in bytes."""
    with log.open("rb") as file:
        file.seek(log_start)
        lines = file.read().decode(errors="replace").rstrip().splitlines()
    return "\n".join(f"    {line[:_COLUMNS]}" for line in lines[-_LINES:])
