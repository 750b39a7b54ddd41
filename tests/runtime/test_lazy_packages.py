"""A package of which a function needs one module does not run for it; who uses the package's names gets them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import ModuleType

import pytest

from tailrace_runtime import lazy_packages

_LAYERS = Path(__file__).parents[2] / "layers"
_AGENT = """
import asyncio, sys
from tailrace_runtime.handler import load

load("log_analyst.handler.handler")
from log_analyst.handler import app
from tailrace.testing import run

lines = "\\n".join(f"2026-01-01T00:00:{second:02}Z ERROR the pool is full" for second in range(60))
result = asyncio.run(run(app, "What is new?", files={"app.log": lines}))
assert result.state == "TASK_STATE_COMPLETED", result
print(*(name for name in sys.modules if name.startswith(("langgraph_sdk", "langsmith.types"))))
from langgraph_sdk import Auth
from langsmith.types import Run
assert Auth and Run
"""


def test_an_agent_is_imported_and_answers_without_the_packages_that_wait() -> None:
    environ = {**os.environ, "PYTHONPATH": str(_LAYERS / "runtime")}
    done = subprocess.run([sys.executable, "-c", _AGENT], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert {"langgraph_sdk", "langsmith.types"} <= set(loaded)
    assert len(loaded) < 10, loaded


Package = Callable[[str], ModuleType]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Import `waiting.module` of a package `waiting` whose `__init__.py` has this code; return the package."""

    def import_module_of(code: str) -> ModuleType:
        folder = tmp_path / "waiting"
        folder.mkdir()
        (folder / "__init__.py").write_text(code)
        (folder / "module.py").write_text("value = 1")
        importlib.invalidate_caches()
        assert importlib.import_module("waiting.module").value == 1
        return sys.modules["waiting"]

    monkeypatch.setattr(lazy_packages, "_PACKAGES", {"waiting"})
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    lazy_packages.set_up()
    yield import_module_of
    for name in [name for name in sys.modules if name.partition(".")[0] == "waiting"]:
        del sys.modules[name]


def test_a_package_runs_once_for_all_threads_that_use_it(package: Package) -> None:
    waiting = package("import time\nruns = globals().get('runs', 0) + 1\ntime.sleep(0)\nlast = 'done'")
    assert "runs" not in vars(waiting)
    together = Barrier(8)

    def use(_: int) -> tuple[int, str]:
        together.wait()
        return waiting.runs, waiting.last

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(8))) == [(1, "done")] * 8


def test_a_package_whose_modules_use_it_is_imported_as_ever(package: Package) -> None:
    waiting = package("first = 1\nfrom waiting.user import second")
    (Path(waiting.__path__[0]) / "user.py").write_text("from waiting import first\nsecond = first + 1")
    assert waiting.second == 2


def test_a_name_that_a_package_finds_itself_is_found(package: Package) -> None:
    waiting = package("def __getattr__(name): return name.upper()")
    assert waiting.late == "LATE"


def test_a_name_that_a_package_does_not_have_is_an_attribute_error(package: Package) -> None:
    waiting = package("value = 1")
    with pytest.raises(AttributeError, match="module 'waiting' has no attribute 'nothing'"):
        _ = waiting.nothing
    assert waiting.value == 1


def test_a_package_that_fails_does_so_for_everybody_who_uses_it(package: Package) -> None:
    waiting = package("raise LookupError('no configuration')")
    for _ in range(2):
        with pytest.raises(LookupError, match="no configuration"):
            _ = waiting.value


def test_a_package_has_its_own_loader(package: Package) -> None:
    waiting = package("value = 1")
    assert waiting.__spec__ is not None
    assert waiting.__loader__ is waiting.__spec__.loader
    assert waiting.__loader__.get_source("waiting") == "value = 1"  # type: ignore[union-attr]
