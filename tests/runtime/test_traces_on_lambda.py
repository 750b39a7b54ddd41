"""The spans of a function are sent before Lambda freezes its process."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx

from tailrace.owner import OWNER_HEADER
from tests.runtime.emulator import Emulator
from tests.runtime.fronts import FUNCTIONS
from tests.support.collector import collecting
from tests.support.events import message
from tests.support.jsonrpc import rpc


async def test_the_spans_of_a_run_are_sent_before_its_process_freezes(layer: Path, tmp_path: Path) -> None:
    with collecting() as collector:
        variables = {
            "SAMPLE": "chatting",
            "TAILRACE_DATA_DIR": str(tmp_path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "600000",  # only what is flushed is sent
        }
        sample = FUNCTIONS / "sample"
        async with (
            Emulator(layer, sample, "app.handler", python=sys.executable, environ=variables, forked=True) as function,
            httpx.AsyncClient(timeout=60) as http,
        ):
            headers = {"a2a-version": "1.0", OWNER_HEADER: "me"}
            sent = await http.post(
                f"{function.url}/", json=rpc("SendMessage", {"message": message("go")}), headers=headers
            )
            assert sent.json()["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
            await function.environment.until(lambda environment: environment.idle)
            named = {span.name for span in collector.spans()}
            assert {"task chatting", "invoke_agent chatting"} <= named
            assert collector.services() == {"chatting"}
