"""Runs the functions as processes that start fast: one parent imports everything and forks the workers.

`python -m tests.chaos.serve FOLDER [MODULE…]` imports these modules, too. Then it reads a line of JSON from stdin for
each worker to start: `{"worker", "name", "fd", "variables"}`. It prints a line for each worker that has started
(`{"started", "pid"}`) or ended (`{"ended", "code"}`, where `ended` is the process id). When stdin ends, it kills all
workers and exits.

A worker serves on a listening socket that stays open when it dies, as under `make run`. It writes its output to
FOLDER/WORKER.log and reads its faults from FOLDER/WORKER.control. The sweeper has no socket (`fd` -1).
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import selectors
import signal
import sys
from pathlib import Path
from typing import Any

from tests.chaos import clock

# The module with the graph and the card of each agent.
AGENTS = {
    "orchestrator": "tests.sample_agents.chaos_orchestrator",
    "specialist_one": "tests.sample_agents.chaos_specialist",
    "specialist_two": "tests.sample_agents.second_chaos_specialist",
}
# A task has some hundred events here. So a takeover reads a summary, as it does of a task with thousands.
_SUMMARY_EVERY = 50
_IMPORTED = ("gateway.app", "sweeper.sweep", "local.serve", *AGENTS.values())


def work(order: dict[str, Any], folder: Path) -> None:
    """Run a worker whose log and clock follow its control file. Returns after a signal has stopped it."""
    output = os.open(folder / f"{order['worker']}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.environ.update(order["variables"])
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {os.getpid()} %(message)s", force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    from local.serve import serve
    from tailrace.agent.recovery import summary
    from tailrace.config import Settings
    from tailrace.log import open_log
    from tests.chaos.control import Control
    from tests.chaos.faulty_log import FaultyLog

    summary.EVERY = _SUMMARY_EVERY
    control = Control(folder / f"{order['worker']}.control")
    clock.follow(lambda: control.get("clock_ms"))
    settings = Settings.load()
    log: Any = FaultyLog(open_log(settings), control)
    if order["name"] == "sweeper":
        asyncio.run(_sweep(log, settings))
    else:
        serve(_app(order["name"], log, settings), order["fd"])


def _app(name: str, log: Any, settings: Any) -> Any:
    """Return the ASGI app of a function."""
    from gateway.app import create_app
    from gateway.owner import local_owner
    from tailrace import AgentApp

    if name == "gateway":
        return create_app(settings, log=log, decide_owner=(lambda _: None) if settings.oidc_issuer else local_owner)
    module = importlib.import_module(AGENTS[name])
    return AgentApp(module.builder, module.card, settings=settings, log=log)


async def _sweep(log: Any, settings: Any) -> None:
    from sweeper.sweep import sweep_forever
    from tailrace.a2a.bundle import Agents
    from tailrace.a2a.client import new_http
    from tailrace.agent.deletions import Deletions
    from tailrace.agent.dispatch import Dispatch
    from tailrace.push import open_webhooks

    async with new_http() as http:
        deletions = Deletions(settings, log, Agents(http, settings))
        await sweep_forever(log, open_webhooks(settings), Dispatch(settings, http), deletions, settings)


def fork(order: dict[str, Any], folder: Path) -> int:
    """Start a worker; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        work(order, folder)
        code = 0
    except BaseException:
        logging.exception("the worker ended")
    os._exit(code)


def main() -> None:
    folder = Path(sys.argv[1])
    from tests.support.preloaded import preload

    preload(*_IMPORTED, *sys.argv[2:])
    living: set[int] = set()
    wakeup_reader, wakeup_writer = os.pipe()
    os.set_blocking(wakeup_writer, False)
    signal.set_wakeup_fd(wakeup_writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(wakeup_reader, selectors.EVENT_READ)
    selector.register(0, selectors.EVENT_READ)
    partial_line, ended = b"", False
    _report({"ready": os.getpid()})
    while not ended:
        for key, _ in selector.select():
            received = os.read(key.fd, 65536)
            if key.fd == wakeup_reader:
                _reap(living)
                continue
            ended = not received
            *lines, partial_line = (partial_line + received).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = fork(order, folder)
                living.add(pid)
                _report({"started": order["worker"], "pid": pid})
    for pid in living:
        os.kill(pid, signal.SIGKILL)


def _reap(living: set[int]) -> None:
    while living:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        living.discard(pid)
        _report({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _report(line: dict[str, Any]) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    clock.install()
    main()
