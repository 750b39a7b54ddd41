"""A function that cannot be used reports why, with the error types of the managed runtime."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.runtime.emulator import Emulator
from tests.runtime.events import function_url_event
from tests.runtime.fronts import FUNCTIONS


@pytest.mark.parametrize(
    ("handler", "error_type", "message"),
    [
        ("imports.handler", "Runtime.ImportModuleError", "Unable to import module 'imports': No module named 'a_pack"),
        ("nowhere.handler", "Runtime.ImportModuleError", "Unable to import module 'nowhere': No module named"),
        ("syntax.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'syntax': expected ':'"),
        ("snapstart/nowhere.handler", "Runtime.ImportModuleError", "Unable to import module 'snapstart.nowhere'"),
        ("raises.handler", "LookupError", "no configuration"),
        ("imports", "Runtime.MalformedHandlerName", "Bad handler 'imports'"),
        ("sys.handler", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        ("json.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'json'"),
    ],
)
async def test_init_errors_are_reported_and_end_the_process(
    layer: Path, tmp_path: Path, handler: str, error_type: str, message: str
) -> None:
    root = shutil.copytree(FUNCTIONS / "broken", tmp_path / "broken")
    (root / "syntax.py").write_text("def handler(event, context)\n    return None\n")
    async with Emulator(layer, root, handler, python=sys.executable) as function:
        result = await function.invoke(function_url_event())
        environment = function.environment
        await environment.until(lambda e: e.exit_status is not None)
    assert result.error is not None
    assert result.error["errorType"] == error_type
    assert result.error["errorMessage"].startswith(message)
    assert environment.exit_status == 1
    assert any("ERROR" in line and error_type in line for line in function.log)


async def test_a_module_that_exits_ends_the_process(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "broken", "leaves.handler", python=sys.executable) as function:
        environment = await function.start()
        await environment.until(lambda e: e.exit_status is not None)
    assert environment.exit_status == 7


async def test_no_garbage_is_collected_while_a_handler_is_imported(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "collector.handler", python=sys.executable) as function:
        collector = (await function.invoke(function_url_event())).json
    assert collector["collections_in_import"] == 0
    assert collector["is_alive_in_import"]
    assert not collector["is_alive"], "later collections find garbage"
    assert collector["frozen"] > 1000
    assert collector["threshold"] > 0


async def test_a_handlers_own_settings_of_the_collector_stay(layer: Path) -> None:
    environ = {"OWN_THRESHOLD": "123"}
    root = FUNCTIONS / "plain"
    async with Emulator(layer, root, "collector.handler", python=sys.executable, environ=environ) as function:
        assert (await function.invoke(function_url_event())).json["threshold"] == 123


async def test_an_app_that_cannot_start_is_an_init_error(layer: Path) -> None:
    environ = {"FAIL_STARTUP": "1"}
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=sys.executable, environ=environ) as function:
        result = await function.invoke(function_url_event())
    assert result.error is not None
    assert (result.error["errorType"], result.error["errorMessage"]) == ("Runtime.LifespanFailed", "no database")


async def test_the_lifespan_runs_once_per_process(layer: Path) -> None:
    handlers = {"app.with_lifespan": True, "app.handler": None}
    for handler, opened in handlers.items():
        async with Emulator(layer, FUNCTIONS / "web", handler, python=sys.executable, freeze=False) as function:
            for _ in range(3):
                answer = (await function.invoke(function_url_event(), streamed=True)).json
                assert answer["opened"] is opened
            function.environment.terminate()
            await function.environment.until(lambda e: e.exit_status is not None)
            assert function.log.count("opened") == function.log.count("closed") == (1 if opened else 0)
