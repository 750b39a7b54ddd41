"""What all tests share."""

from __future__ import annotations

import fcntl
import gc
import os
import tempfile
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings

from tests.support.processes import Stack, stack
from tests.support.read_once import read_only_once

# Each process of the tests imports and collects everything: while that grows, the garbage collector would visit it
# again and again, and find nothing.
gc.disable()

# The machines that run this are shared: an example that takes long says nothing.
settings.register_profile("tailrace", deadline=None)
settings.load_profile("tailrace")

read_only_once()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker for each core with `-n logical`; with `-n auto` three for two cores, as tests of processes wait."""
    cores = os.cpu_count() or 1
    return cores if config.option.numprocesses == "logical" else max(2, cores * 3 // 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`, files that share processes go to one worker, because processes are slow to start."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            scopes = (scope for scope, paths in _SCOPES.items() if nodeid.startswith(paths))
            return next(scopes, super()._split_scope(nodeid))

    return Scheduling(config, log) if config.option.dist == "loadfile" else None


_CONTAINERS = "tests/deploy/test_sam_local.py"
_BROWSERS = ("tests/e2e/", "tests/runtime/test_main_job.py")
_SCOPES = {
    "assistant": (
        *("tests/e2e/test_artifacts_on_the_page.py", "tests/e2e/test_conversations_on_the_page.py"),
        *("tests/e2e/test_example_page.py", "tests/e2e/test_firefox.py"),
        *("tests/e2e/test_questions_on_the_page.py", "tests/e2e/test_several_questions_on_the_page.py"),
    ),
    "page": (
        *("tests/e2e/test_accessibility.py", "tests/e2e/test_faults", "tests/e2e/test_files_to_send.py"),
        *("tests/e2e/test_findings_on_the_page.py", "tests/e2e/test_keyboard_and_history.py"),
        *("tests/e2e/test_other_sites.py", "tests/e2e/test_page.py", "tests/e2e/test_upload.py"),
    ),
    "dynamodb": (
        *("tests/contract/test_dynamodb_local.py", "tests/contract/test_checkpointers.py"),
        *("tests/contract/test_memory_stores.py", "tests/contract/test_webhooks.py"),
    ),
    "shipped": (
        *("tests/deploy/test_smoke.py", "tests/integration/test_claim_check.py"),
        *("tests/integration/test_four_processes.py", "tests/integration/test_local.py"),
    ),
}
# Workers take whole files in this order. What takes long comes first, so that no worker ends with it alone.
_LONGEST_FIRST = ["e2e", "deploy", "chaos", "runtime", "interop", "integration", "resume", "tck", "contract", "unit"]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def shipped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All processes that `make run` starts, once for all tests that leave them as they were."""
    async with stack(tmp_path_factory.mktemp("shipped")) as started:
        yield started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 50)


def _place(item: pytest.Item) -> int:
    if item.nodeid.startswith(_CONTAINERS):
        return len(_LONGEST_FIRST)
    folders = (place for place, folder in enumerate(_LONGEST_FIRST) if folder in item.path.parts)
    return next(folders, 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Browsers wait while containers start or stop, and the other way round.

    Containers add and remove network interfaces of this machine, and then Chromium drops the requests that it has not
    sent: pages would lose scripts.
    """
    if not item.nodeid.startswith((*_BROWSERS, _CONTAINERS)):
        return (yield)
    with (Path(tempfile.gettempdir()) / f"tailrace-tests-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if item.nodeid.startswith(_CONTAINERS) else fcntl.LOCK_SH)
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
