"""A chat model on Lambda: its tokens reach the browser one by one, and its key is read from Secrets Manager.

The functions are on our runtime, and the providers' own clients speak to servers with the providers' wire formats.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tailrace.stream.sse import Parser
from tests.runtime.stage import Stage, stage
from tests.support.bedrock_stub import BedrockStub
from tests.support.gateway import Seen
from tests.support.http import serve
from tests.support.openai_stub import OpenAIStub

STORY = "A river drove a mill, and no water was lost."
WORDS = [f"{word} " for word in STORY.split(" ")]
# As in a new function: the environments are restored from a snapshot.
SNAPSTART = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start", "AWS_REGION": "us-east-1"}


class Secrets:
    """Secrets Manager's GetSecretValue."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.read: list[str] = []
        self.app = Starlette(routes=[Route("/", self._get, methods=["POST"])])

    async def _get(self, request: Request) -> Response:
        assert request.headers["x-amz-target"] == "secretsmanager.GetSecretValue"
        self.read.append((await request.json())["SecretId"])
        if not self.value:
            refusal = {"__type": "AccessDeniedException", "Message": "not authorized"}
            return JSONResponse(refusal, 400)
        return JSONResponse({"Name": self.read[-1], "SecretString": self.value})


class Words:
    """Lets a stub send one word at a time."""

    def __init__(self) -> None:
        self._permits = asyncio.Semaphore(0)

    async def __call__(self) -> None:
        await self._permits.acquire()

    def let_one_pass(self) -> None:
        self._permits.release()


def text_in(seen: Seen) -> list[str]:
    """Return the pieces of the artifact `response`, as they came."""
    updates = [event["artifactUpdate"]["artifact"] for event in seen.events if "artifactUpdate" in event]
    return [part["text"] for artifact in updates if artifact["name"] == "response" for part in artifact["parts"]]


async def watch_word_by_word(on: Stage, words: Words) -> Seen:
    """Watch a task through the gateway; the model says its next word only when the last one has arrived."""
    task_id, seen, parser = await on.post("tell me a story"), Seen(), Parser()
    async with asyncio.timeout(60), on.http.stream("GET", f"/api/stream/{task_id}") as answer:
        words.let_one_pass()
        async for chunk in answer.aiter_bytes():
            before = len("".join(text_in(seen)))
            for message in parser.feed(chunk):
                seen.add(message)
            if len("".join(text_in(seen))) > before:
                words.let_one_pass()
    return seen


@pytest.mark.parametrize("secret", ["sk-of-the-test", '{"OPENAI_API_KEY": "sk-of-the-test"}'])
async def test_openais_tokens_arrive_one_by_one_and_its_key_is_a_secret(
    layer: Path, tmp_path: Path, secret: str
) -> None:
    words, secrets = Words(), Secrets(secret)
    stub = OpenAIStub({"story": STORY}, words)
    async with serve(stub.app) as url, serve(secrets.app) as secrets_url:
        variables = {
            "TAILRACE_MODEL": "openai:stub",
            "TAILRACE_MODEL_KEY": "tailrace/openai",
            "OPENAI_BASE_URL": f"{url}/v1",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets_url,
            **SNAPSTART,
        }
        async with stage(layer, tmp_path, "storyteller", **variables) as on:
            await on.card()  # the agent's environment is restored, and its model is loaded
            assert on.agent.environment.restored
            assert secrets.read == []  # so the key is in no snapshot
            seen = await watch_word_by_word(on, words)
            assert "sk-of-the-test" not in "".join([*on.agent.log, *on.gateway.log])
    assert seen.state == "TASK_STATE_COMPLETED"
    assert text_in(seen) == WORDS
    assert stub.keys == {"sk-of-the-test"}
    assert secrets.read == ["tailrace/openai"]


async def test_bedrocks_tokens_arrive_one_by_one_with_the_functions_own_rights(layer: Path, tmp_path: Path) -> None:
    words = Words()
    stub = BedrockStub(STORY, words)
    model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    async with serve(stub.app) as url:
        variables = {
            "TAILRACE_MODEL": f"bedrock_converse:{model}",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url,
            **SNAPSTART,
        }
        async with stage(layer, tmp_path, "storyteller", **variables) as on:
            seen = await watch_word_by_word(on, words)
    assert seen.state == "TASK_STATE_COMPLETED"
    assert text_in(seen) == WORDS
    ((asked, body),) = stub.asked
    assert asked == model
    assert body["messages"][0]["content"][0]["text"] == "tell me a story"
    assert stub.signers == {"AWS4-HMAC-SHA256 Credential"}


async def test_a_key_that_may_not_be_read_fails_the_task_and_is_named(layer: Path, tmp_path: Path) -> None:
    secrets = Secrets("")
    async with contextlib.AsyncExitStack() as servers:
        url = await servers.enter_async_context(serve(OpenAIStub({}).app))
        variables = {
            "TAILRACE_MODEL": "openai:stub",
            "TAILRACE_MODEL_KEY": "tailrace/openai",
            "OPENAI_BASE_URL": f"{url}/v1",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": await servers.enter_async_context(serve(secrets.app)),
        }
        on = await servers.enter_async_context(stage(layer, tmp_path, "storyteller", **variables))
        seen = await on.watch(await on.post("tell me a story"))
    assert seen.state == "TASK_STATE_FAILED"
    reason = seen.events[-1]["statusUpdate"]["status"]["message"]["parts"][0]["text"]
    assert "TAILRACE_MODEL_KEY has value 'tailrace/openai', but must be the name of a secret" in reason
    assert reason.endswith("(AccessDeniedException).")  # without AWS's words, which name roles and accounts
