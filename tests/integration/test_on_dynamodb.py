"""With log and checkpoints in DynamoDB, any process can resume a task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from gateway.app import create_app
from tailrace import AgentApp, AgentCard
from tailrace.config import Settings
from tailrace.log import open_log
from tests.contract.checkpoint_stores import checkpoint_table
from tests.contract.dynamodb_table import empty_table, use
from tests.sample_agents import one_question
from tests.support.fast_moto import moto_server
from tests.support.gateway import System, header_owner
from tests.support.http import serve


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with moto_server() as endpoint:
        use(endpoint, monkeypatch)
        yield Settings(log="dynamodb", table=empty_table(), checkpoint_table=checkpoint_table())


def agent(settings: Settings) -> AgentApp:
    return AgentApp(
        one_question.builder, AgentCard(name="orchestrator", description="", version="1", skills=[]), settings=settings
    )


async def test_a_reply_in_another_process_resumes_from_the_checkpoint(settings: Settings) -> None:
    log = open_log(settings)
    headers = {"x-test-owner": "alice"}
    async with serve(agent(settings)) as first, serve(agent(settings)) as second:
        one, two = [
            create_app(replace(settings, orchestrator_url=f"{url}/"), log=log, decide_owner=header_owner)
            for url in (first, second)
        ]
        async with serve(one) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
            first_gateway = System(url, log, http)
            task_id = await first_gateway.post({"text": "it is slow"})
            waiting = await first_gateway.read(task_id)
            assert waiting.state == "TASK_STATE_INPUT_REQUIRED"
        async with serve(two) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
            second_gateway = System(url, log, http)
            reply = {"message": {"parts": [{"text": "eu-west-1"}]}}
            assert (await http.post(f"/api/tasks/{task_id}/messages", json=reply)).status_code == 202
            rest = await second_gateway.read(task_id, cursor=waiting.seqs[-1])
    await log.close()
    assert (rest.seqs[0], rest.state) == (waiting.seqs[-1] + 1, "TASK_STATE_COMPLETED")
    begun = [e for e in rest.events if "begin" in str(e.get("statusUpdate", {}).get("metadata"))]
    assert begun == [], "a finished node ran again"
