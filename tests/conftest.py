"""What all tests share."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings

from tests.support import fork_server, scheduling
from tests.support.processes import Stack, stack
from tests.support.read_once import read_only_once

# Each process of the tests imports and collects everything: while that grows, the garbage collector would visit it
# again and again, and find nothing.
gc.disable()

# The machines that run this are shared: an example that takes long says nothing.
settings.register_profile("tailrace", deadline=None)
settings.load_profile("tailrace")

read_only_once()

# A shell lets what it starts in the background ignore Ctrl-C, and `nohup` the end of a terminal; and so would all
# processes that tests send these.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# What a test starts with `make` starts it as from a shell, not as a recursive make of `make test`.
for name in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS"):
    os.environ.pop(name, None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker for each core with `-n logical`; with `-n auto` more, as tests of processes wait."""
    cores = os.cpu_count() or 1
    return cores if config.option.numprocesses == "logical" else scheduling.workers(cores)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return scheduling.Scheduling(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Start one fork server for all workers: each one takes seconds to import what agents need."""
    os.environ[fork_server.VARIABLE] = fork_server.shared().address


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def shipped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All processes that `make run` starts, once for all tests that leave them as they were."""
    async with stack(tmp_path_factory.mktemp("shipped")) as started:
        yield started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: scheduling.place(item.nodeid))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 50)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Browsers wait while containers start or stop, and the other way round.

    Containers add and remove network interfaces of this machine, and then Chromium drops the requests that it has not
    sent: pages would lose scripts.
    """
    if not item.nodeid.startswith((*scheduling.BROWSERS, scheduling.CONTAINERS)):
        return (yield)
    with (Path(tempfile.gettempdir()) / f"tailrace-tests-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if item.nodeid.startswith(scheduling.CONTAINERS) else fcntl.LOCK_SH)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """On CI a skipped test is a failure: everything it could want is installed there.

    A lone surrogate in what a test has printed or logged would end pytest-xdist's worker, so it is escaped.
    """
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
    report.sections = [(title, _escaped(text)) for title, text in report.sections]
    if report.longrepr is not None and not (shown := str(report.longrepr)).isascii() and _escaped(shown) != shown:
        report.longrepr = _escaped(shown)
    return report


def _escaped(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
