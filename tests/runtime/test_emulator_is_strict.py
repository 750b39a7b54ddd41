"""Tests with our emulator prove something only if it refuses what a runtime must not do."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runtime import sandbox
from tests.runtime.bootstrap_process import Process, start_bootstrap
from tests.runtime.emulator import Emulator, Result
from tests.runtime.events import function_url_event
from tests.runtime.fronts import FUNCTIONS
from tests.runtime.http1 import Head, read_head

_VIOLATIONS = {
    "no host": "has no Host",
    "no echo": "without the Lambda-Runtime-Invocation-Id",
    "unknown invocation": "which is not running",
    "a second response": "which is not running",
    "unknown path": "there is no POST",
    "next too early": "/next while 1 of 1 run",
    "error report without a type": "the error report is not right",
    "init error after init": "/init/error in phase ready",
    "mode": "response mode stream",
    "content type": "content type text/html",
    "no trailers declared": "declared the trailers",
    "no cookies": "the prelude has ['headers', 'statusCode']",
    "a cookie as header": "a cookie among the headers",
    "one chunk for prelude and NULs": "the first and the second chunk",
    "NULs in two chunks": "the first and the second chunk",
    "no prelude": "without a prelude",
    "long trailers": "longer than Go's server reads",
    "error without base64": "is no base64",
}


async def invoke(folder: Path, wrong: str, *, freeze: bool = False) -> Result:
    """Invoke a runtime that makes this mistake."""
    wrapper = folder / "tailrace-runtime"
    wrapper.write_text(f'#!/bin/sh\nexec "$1" "{FUNCTIONS / "bad_runtime.py"}"\n')
    wrapper.chmod(0o755)
    environ = {"WRONG": wrong}
    async with Emulator(folder, FUNCTIONS, "none", python=sys.executable, environ=environ, freeze=freeze) as function:
        result = await function.invoke(function_url_event(), streamed=True)
        await function.environment.until(lambda e: bool(e.waiting or e.violations))
    return result


async def test_a_correct_runtime_passes(tmp_path: Path) -> None:
    assert (await invoke(tmp_path, "")).body == b"hello"


@pytest.mark.parametrize("wrong", _VIOLATIONS)
async def test_a_wrong_runtime_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="broke the Runtime API's rules") as refused:
        await invoke(tmp_path, wrong)
    assert _VIOLATIONS[wrong] in str(refused.value)


async def test_a_process_may_ask_before_its_process_id_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked process runs before the answer with its number has arrived."""

    asked = asyncio.Event()

    async def read(reader: asyncio.StreamReader) -> Head | None:
        head = await read_head(reader)
        asked.set()
        return head

    async def known_late(*arguments: Any, **options: Any) -> tuple[Process, asyncio.StreamReader]:
        started = await start_bootstrap(*arguments, **options)
        await asked.wait()
        return started

    monkeypatch.setattr(sandbox, "read_head", read)
    monkeypatch.setattr(sandbox, "start_bootstrap", known_late)
    assert (await invoke(tmp_path, "", freeze=True)).body == b"hello"
