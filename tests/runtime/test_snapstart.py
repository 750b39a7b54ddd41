"""SnapStart: the hooks before a snapshot, the restore, the hooks after it."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

import pytest

from tests.runtime.emulator import Emulator
from tests.runtime.fronts import FUNCTIONS


def function_of(layer: Path, **environ: str) -> Emulator:
    environ = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start", **environ}
    return Emulator(layer, FUNCTIONS / "snapstart", "app.handler", python=sys.executable, environ=environ)


async def test_snapstart_hooks_run_in_order(layer: Path) -> None:
    async with function_of(layer) as function:
        done = (await function.invoke({})).json["done"]
        assert done == ["before 2", "before 1", "uuid_utils", "after 1", "after 2"]
        assert function.environment.restored


async def test_without_snapstart_no_hook_runs(layer: Path) -> None:
    async with function_of(layer, AWS_LAMBDA_INITIALIZATION_TYPE="on-demand") as function:
        assert (await function.invoke({})).json == {"done": [], "random": random.Random(1).random()}
        assert not function.environment.restored


async def test_environments_of_one_snapshot_have_different_random_numbers(layer: Path) -> None:
    in_the_snapshot = random.Random(1).random()
    async with function_of(layer) as function:
        first = (await function.invoke({})).json["random"]
        function.environment.signal(signal.SIGKILL)
        await function.environment.until(lambda e: e.phase == "gone")
        second = (await function.invoke({})).json["random"]
        assert len(function.environments) == 2
    assert len({in_the_snapshot, first, second}) == 3


@pytest.mark.parametrize(
    ("hook", "exit_status", "error_type"),
    [("before", 64, "Runtime.BeforeSnapshotError"), ("after", 65, "Runtime.AfterRestoreError")],
)
async def test_a_failed_hook_is_reported_and_ends_the_process(
    layer: Path, hook: str, exit_status: int, error_type: str
) -> None:
    async with function_of(layer, FAIL=hook) as function:
        environment = await function.start()
        await environment.until(lambda e: e.exit_status is not None)
    assert environment.exit_status == exit_status
    error = environment.init_error if hook == "before" else environment.restore_error
    assert error is not None
    assert error["errorType"] == error_type
    assert "no database" in error["errorMessage"]
