"""Several processes may create a file at the same moment, as when `make run` starts them all."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from tailrace.stores.sqlite import connect_wal

pytestmark = pytest.mark.slow

PROCESSES, FILES = 6, 60
TOGETHER_S = 60


def opens(folder: Path, together: Barrier) -> None:
    for number in range(FILES):
        together.wait(TOGETHER_S)
        connect_wal(folder / f"{number}.sqlite3").close()


def test_several_processes_can_create_one_log(tmp_path: Path) -> None:
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload([__name__])  # or each process would import what the test does
    together = forked.Barrier(PROCESSES)
    processes = [forked.Process(target=opens, args=(tmp_path, together)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(2 * TOGETHER_S)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
