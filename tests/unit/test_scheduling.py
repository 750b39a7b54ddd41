"""`make test` keeps all cores busy: one of four workers runs what waits, while the others compute."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.processes import ROOT
from tests.support.scheduling import ALL_PATHS, Scheduling, place


class Worker:
    """Notes which tests it is given."""

    shutting_down = False

    def __init__(self) -> None:
        self.given: list[int] = []
        self.gateway = SimpleNamespace(id="gw")

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def schedule(nodeids: list[str], count: int = 4) -> list[list[str]]:
    """Give the tests to `count` workers, which run them in turn. Return the files that each was given."""
    config: Any = SimpleNamespace(
        option=SimpleNamespace(loadscopereorder=False), getvalue=lambda name: {"tx": [f"{count}*popen"]}[name]
    )
    scheduling, workers = Scheduling(config), [Worker() for _ in range(count)]
    collected = sorted(nodeids, key=place)
    for worker in workers:
        scheduling.add_node(worker)
        scheduling.add_node_collection(worker, collected)
    scheduling.schedule()
    done = [0] * count
    while any(ran < len(worker.given) for ran, worker in zip(done, workers, strict=True)):
        for number, worker in enumerate(workers):
            if done[number] < len(worker.given):
                scheduling.mark_test_complete(worker, worker.given[done[number]])
                done[number] += 1
    assert sorted(index for worker in workers for index in worker.given) == list(range(len(collected)))
    return [list(dict.fromkeys(collected[index].split("::")[0] for index in worker.given)) for worker in workers]


def of_files(*files: str) -> list[str]:
    return [f"{file}::test_{number}" for file in files for number in range(4)]


WAITING = ["tests/integration/test_survival.py", "tests/integration/test_depth.py", "tests/deploy/test_sam_local.py"]
COMPUTING = [f"tests/unit/test_{number}.py" for number in range(8)]


@pytest.mark.parametrize(("count", "lanes"), [(4, 1), (8, 2)])
def test_one_of_four_workers_runs_what_waits_while_the_others_compute(count: int, lanes: int) -> None:
    given = schedule(of_files(*COMPUTING, *WAITING), count)
    waited = [[file for file in files if file in WAITING] for files in given]
    assert sorted(file for files in waited for file in files) == sorted(WAITING)
    assert [files[: len(some)] for files, some in zip(given, waited, strict=True)] == waited
    assert sum(map(bool, waited)) == lanes
    assert sorted(file for files in given for file in files if file not in WAITING) == COMPUTING


def test_all_workers_run_what_waits_when_nothing_else_is_left() -> None:
    assert all(schedule(of_files(*WAITING), 3))


def test_files_that_share_processes_go_to_one_worker() -> None:
    page = ["tests/e2e/test_faults.py", "tests/e2e/test_files_to_send.py", "tests/e2e/test_page.py"]
    given = schedule(of_files(*page, *COMPUTING, *WAITING))
    assert [each for each in given if each[:3] == page]


@pytest.mark.parametrize("path", ALL_PATHS)
def test_each_path_of_the_order_exists(path: str) -> None:
    """A file that was renamed would lose its place."""
    assert list(ROOT.glob(f"{path}*"))
