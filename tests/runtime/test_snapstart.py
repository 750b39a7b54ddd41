"""SnapStart: hooks before the snapshot, the restore, hooks after it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.runtime.emulator import Emulator
from tests.runtime.fronts import FUNCTIONS


def function_of(layer: Path, **environ: str) -> Emulator:
    environ = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start", **environ}
    return Emulator(layer, FUNCTIONS / "snapstart", "app.handler", python=sys.executable, environ=environ)


async def test_hooks_run_around_the_snapshot_in_their_order(layer: Path) -> None:
    async with function_of(layer) as function:
        done = (await function.invoke({})).json
        assert done == ["before 2", "before 1", "after 1", "after 2"]
        assert function.environment.restored


async def test_without_snapstart_no_hook_runs(layer: Path) -> None:
    async with function_of(layer, AWS_LAMBDA_INITIALIZATION_TYPE="on-demand") as function:
        assert (await function.invoke({})).json == []
        assert not function.environment.restored


async def test_a_failure_before_the_snapshot_exits_with_64(layer: Path) -> None:
    async with function_of(layer, FAIL="before") as function:
        environment = await function.start()
        await environment.until(lambda e: e.exit_status is not None)
    assert environment.exit_status == 64
    assert environment.init_error is not None
    assert environment.init_error["errorType"] == "Runtime.BeforeSnapshotError"
    assert "no database" in environment.init_error["errorMessage"]


async def test_a_failure_after_the_restore_exits_with_65(layer: Path) -> None:
    async with function_of(layer, FAIL="after") as function:
        environment = await function.start()
        await environment.until(lambda e: e.exit_status is not None)
    assert environment.exit_status == 65
    assert environment.restore_error is not None
    assert environment.restore_error["errorType"] == "Runtime.AfterRestoreError"
