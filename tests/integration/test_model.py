"""A model streams the plan and the report; if it fails, the report is written without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tailrace.events import EXTENSION
from tailrace.stream.sse import Parser
from tests.support.checkout import checkout
from tests.support.gateway import Seen
from tests.support.http import serve
from tests.support.openai_stub import OpenAIStub
from tests.support.processes import Stack, stack

LOGS = "".join(f"2026-01-01T10:{minute:02}:{s:02}Z INFO all is well\n" for minute in range(20) for s in range(0, 60, 6))
pytestmark = pytest.mark.asyncio(loop_scope="module")
PARTS = [{"text": "is anything wrong?"}, {"text": LOGS, "filename": "app.log", "mediaType": "text/plain"}]


@pytest.fixture(scope="module")
def stub() -> OpenAIStub:
    """The model of `running`. It fails until a test gives it answers."""
    return OpenAIStub({})


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(stub: OpenAIStub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("with_a_model")
    async with serve(stub.app) as url:
        variables = {"TAILRACE_MODEL": "openai:stub", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}
        async with stack(folder, checkout(folder / "checkout", ["metric_analyst"]), **variables) as started:
            yield started


async def run(running: Stack) -> tuple[Seen, dict[str, str]]:
    """Run a task; return the stream and the text artifacts."""
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as http:
        task_id = (await http.post("/api/tasks", json={"message": {"parts": PARTS}})).json()["id"]
        seen, parser = Seen(), Parser()
        async with asyncio.timeout(60), http.stream("GET", f"/api/stream/{task_id}") as answer:
            async for chunk in answer.aiter_bytes():
                for message in parser.feed(chunk):
                    seen.add(message)
        task: dict[str, Any] = (await http.get(f"/api/tasks/{task_id}")).json()
    texts = {a["name"]: a["parts"][0]["text"] for a in task["artifacts"] if "text" in a["parts"][0]}
    return seen, texts


async def test_the_model_writes_the_plan_and_the_report(stub: OpenAIStub, running: Stack) -> None:
    stub.answers = {
        "You hand a request": "I ask log_analyst about the log.",
        "on-call engineer": "# Quiet\n\nNothing stands out at all.",
    }
    seen, texts = await run(running)
    assert seen.state == "TASK_STATE_COMPLETED"
    assert texts["plan"].split() == ["I", "ask", "log_analyst", "about", "the", "log."]
    assert texts["report"].startswith("# Quiet")
    details = [next(iter(event.values()))["metadata"][EXTENSION] for event in seen.events]
    assert "token" in {event["kind"] for event in details}
    routed = next(event for event in details if event["kind"] == "route")
    assert [target["agent"] for target in routed["targets"]] == ["log_analyst"]
    # The model gets the findings, never the inputs.
    assert len(stub.asked) >= 2
    assert not any(LOGS[:100] in str(prompt) for prompt in stub.asked)


async def test_without_the_model_the_report_is_still_written(stub: OpenAIStub, running: Stack) -> None:
    stub.answers = {}
    seen, texts = await run(running)
    assert seen.state == "TASK_STATE_COMPLETED"
    assert "What happened" in texts["report"]
