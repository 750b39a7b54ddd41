"""A model streams the plan and the report; if it fails, the report is written without it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio

from tailrace import chat_model as chat_models
from tailrace.errors import ConfigError
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
    async with running.client() as http:
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


async def test_a_key_that_another_provider_has_left_does_not_stop_bedrock() -> None:
    with mock.patch.dict(os.environ, {"AWS_DEFAULT_REGION": "us-east-1"}):
        settings = {
            "TAILRACE_MODEL": "bedrock_converse:us.amazon.nova-lite-v1:0",
            "TAILRACE_MODEL_KEY": "tailrace/openai",
        }
        with mock.patch.dict(os.environ, settings):
            assert type(chat_models.chat_model()).__name__ == "ChatBedrockConverse"


async def test_a_run_does_not_hang_if_the_store_of_the_key_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_models, "_READ_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for name, value in (
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{silent.getsockname()[1]}"),
            *(("AWS_ACCESS_KEY_ID", "any"), ("AWS_SECRET_ACCESS_KEY", "any"), ("AWS_DEFAULT_REGION", "us-east-1")),
        ):
            monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError, match=r"TAILRACE_MODEL_KEY has value 'tailrace/openai'.*ReadTimeoutError"):
            async with asyncio.timeout(60):
                await asyncio.to_thread(chat_models.key_in("tailrace/openai"))
