"""The function's log has the format that CloudWatch expects."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from tests.runtime.emulator import Emulator
from tests.runtime.events import function_url_event
from tests.runtime.fronts import FUNCTIONS


async def logged(layer: Path, **environ: str) -> tuple[str, list[str]]:
    """Return the id of the request that logged, and the log."""
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=sys.executable, environ=environ) as function:
        result = await function.invoke(function_url_event("GET", "/log"), streamed=True, tenant="tenant-7")
        await function.invoke(function_url_event("GET", "/hello"), streamed=True)
        assert result.body == b"logged"
        return result.invocation.id, function.log


async def test_json_lines_carry_the_request_id(layer: Path) -> None:
    request_id, log = await logged(layer, AWS_LAMBDA_LOG_FORMAT="JSON")
    assert "printed" in log
    lines: list[dict[str, Any]] = [json.loads(line) for line in log if line != "printed"]
    assert {line["requestId"] for line in lines} == {request_id}
    assert {line["tenantId"] for line in lines} == {"tenant-7"}
    words, structured, failed = lines
    assert (words["level"], words["message"], words["logger"], words["task"]) == (
        *("WARNING", "three words", "sample", "t-1"),
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", words["timestamp"])
    assert structured["message"] == {"event": "stream_opened", "seq": 7}
    assert (failed["errorType"], failed["errorMessage"], failed["level"]) == ("LookupError", "lost", "ERROR")
    assert "in log" in failed["stackTrace"][0]
    assert ":log:" in failed["location"]


async def test_the_log_level_follows_lambdas_setting(layer: Path) -> None:
    _, log = await logged(layer, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="ERROR")
    assert [json.loads(line)["level"] for line in log if line != "printed"] == ["ERROR"]
    _, log = await logged(layer, AWS_LAMBDA_LOG_LEVEL="INFO")
    assert any("not at the level" in line for line in log)


async def test_a_text_record_is_one_entry_with_the_request_id(layer: Path) -> None:
    request_id, log = await logged(layer)
    assert len(log) == 4
    assert re.fullmatch(rf"\[WARNING\]\t[0-9T:.Z-]+\t{request_id}\tthree words", log[0])
    assert "\rLookupError: lost" in log[2]


async def test_frames_hold_type_length_time_and_message(layer: Path, tmp_path: Path) -> None:
    path = tmp_path / "frames"
    with path.open("wb") as file:
        os.set_inheritable(file.fileno(), True)
        environ = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "_LAMBDA_TELEMETRY_LOG_FD": str(file.fileno())}
        async with Emulator(
            *(layer, FUNCTIONS / "plain", "app.handler"),
            python=sys.executable,
            environ=environ,
            pass_fds=(file.fileno(),),
        ) as function:
            result = await function.invoke(function_url_event("GET", "/log"), streamed=True)
            echoed = (await function.invoke(function_url_event("GET", "/echo"), streamed=True)).json
    assert "_LAMBDA_TELEMETRY_LOG_FD" not in echoed["environ"]
    assert function.log == ["printed"]
    data, frames = path.read_bytes(), []
    while data:
        kind, length, micros = (int.from_bytes(data[a:b], "big") for a, b in ((0, 4), (4, 8), (8, 16)))
        frames.append((kind, json.loads(data[16 : 16 + length])))
        assert micros > 1_700_000_000_000_000
        data = data[16 + length :]
    assert [kind for kind, _ in frames] == [0xA55A0012, 0xA55A0012, 0xA55A0016]  # as in awslambdaric
    assert {line["requestId"] for _, line in frames} == {result.invocation.id}
