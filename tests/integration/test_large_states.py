"""A state too large for an item is stored in S3, or fails the run with a reason; no node runs repeatedly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypedDict

import httpx
import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from gateway.app import create_app
from tailrace import AgentApp, AgentCard, write
from tailrace.config import Settings
from tailrace.log import open_log
from tests.contract.checkpoint_stores import BUCKET, checkpoint_table, items_of, noise, objects, use_stores
from tests.contract.dynamodb_table import empty_table
from tests.support.events import metadata
from tests.support.fast_moto import moto_server
from tests.support.gateway import System, header_owner
from tests.support.http import serve


class State(TypedDict, total=False):
    messages: list[Any]
    gathered: str


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def settings(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    use_stores(endpoint, endpoint, monkeypatch)
    return Settings(log="dynamodb", table=empty_table(), checkpoint_table=checkpoint_table())


def gathering(ran: Counter[str]) -> StateGraph[State]:
    """Return a graph that gathers 900 KB, asks a question, and reports the size."""

    async def gather(_: State) -> State:
        ran["gather"] += 1
        return {"gathered": noise(900_000)}

    async def tell(state: State) -> State:
        ran["tell"] += 1
        write(f"{len(state['gathered']):,} characters, {interrupt('How many?')} of them shown")
        return {}

    builder = StateGraph(State).add_sequence([("gather", gather), ("tell", tell)])
    return builder.add_edge(START, "gather")


def agent(graph: StateGraph[State], settings: Settings) -> AgentApp:
    return AgentApp(graph, AgentCard(name="orchestrator", description="", version="1", skills=[]), settings=settings)


async def test_without_a_bucket_the_run_fails_once_and_names_the_setting(settings: Settings) -> None:
    ran: Counter[str] = Counter()
    log = open_log(settings)
    async with serve(agent(gathering(ran), settings)) as agent_url:
        app = create_app(replace(settings, orchestrator_url=f"{agent_url}/"), log=log, decide_owner=header_owner)
        async with (
            serve(app) as url,
            httpx.AsyncClient(base_url=url, headers={"x-test-owner": "alice"}, timeout=60) as http,
        ):
            system = System(url, log, http)
            task_id = await system.post({"text": "gather"})
            seen = await system.read(task_id)
            again = (await http.get(f"/api/tasks/{task_id}")).json()
    await log.close()
    assert seen.state == "TASK_STATE_FAILED"
    text = again["status"]["message"]["parts"][0]["text"]
    assert "the limit is 409,600 bytes" in text
    assert "'gathered', with 900," in text
    assert "set TAILRACE_BUCKET" in text
    assert ran == {"gather": 1}
    kept = items_of(settings.checkpoint_table)
    assert all(len(item["body"]["B"]) < 10_000 for item in kept), "a part of the oversized state was stored"


async def test_with_a_bucket_another_process_resumes_the_run_from_s3(settings: Settings) -> None:
    ran: Counter[str] = Counter()
    settings = replace(settings, bucket=BUCKET)
    log = open_log(settings)
    headers = {"x-test-owner": "alice"}
    async with serve(agent(gathering(ran), settings)) as first, serve(agent(gathering(ran), settings)) as second:
        one, two = (
            create_app(replace(settings, orchestrator_url=f"{url}/"), log=log, decide_owner=header_owner)
            for url in (first, second)
        )
        async with serve(one) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
            task_id = await System(url, log, http).post({"text": "gather"})
            waiting = await System(url, log, http).read(task_id)
            assert waiting.state == "TASK_STATE_INPUT_REQUIRED"
        async with serve(two) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
            reply = {"message": {"parts": [{"text": "ten"}]}}
            assert (await http.post(f"/api/tasks/{task_id}/messages", json=reply)).status_code == 202
            rest = await System(url, log, http).read(task_id, cursor=waiting.seqs[-1])
    await log.close()
    assert rest.state == "TASK_STATE_COMPLETED"
    assert "900,000 characters, ten of them shown" in str(rest.events)
    assert ran == {"gather": 1, "tell": 2}
    [thread] = {metadata(event)["thread"] for event in waiting.events if "thread" in metadata(event)}
    assert objects()
    assert all(name.startswith(f"checkpoints/{thread}/") for name in objects())
