"""The official JavaScript SDK's client (@a2a-js/sdk 1.3.0) drives an agent of ours, over each interface it declares."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.cached import HERE, node_with
from tests.interop.steps import Steps, steps_of
from tests.sample_agents.hello_world import TEXT, hello_world
from tests.support.in_process import agent


@pytest.mark.parametrize("transport", ["JSONRPC", "HTTP+JSON", "0.3"])
async def test_the_javascript_client_drives_our_agent(transport: str) -> None:
    node, folder = await asyncio.to_thread(node_with, HERE / "js")
    gate = asyncio.Event()

    def watching(steps: Steps) -> None:
        if "watching" in steps:
            gate.set()

    async with agent(hello_world(gate)) as served:
        steps = await steps_of(node, "client.mjs", served.url, transport, on_step=watching, cwd=folder)
    assert steps["card"] == {"name": "hello_world", "version": "0.3" if transport == "0.3" else "1.0"}
    assert steps["send"] == {"state": "completed", "artifacts": ["response", "findings"]}
    assert steps["get"]["same"]
    assert (steps["stream"]["cases"][0], steps["stream"]["report"]) == ("task", TEXT)
    assert steps["stream"]["states"][-1] == "completed"
    assert steps["asked"]["states"][-1] == "input-required"
    assert steps["replied"]["states"][-1] == "completed"
    assert steps["replied"]["id"] == steps["asked"]["id"]
    assert steps["canceled"]["states"][-1] == "canceled"
    assert (steps["watched"]["cases"][0], steps["watched"]["states"][-1]) == ("task", "completed")
    assert steps["push"] == {"url": "https://example.com/", "scheme": "Bearer", "left": 0}
    assert "TaskNotFound" in steps["unknown"]["error"]
    assert "TaskNotCancelable" in steps["finished"]["error"]
