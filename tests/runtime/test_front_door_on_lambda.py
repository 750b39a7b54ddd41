"""The front door of other people's A2A clients: a REST API that streams, to the gateway as a function."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from a2a.client import A2ACardResolver, ClientConfig, create_client
from a2a.helpers import new_text_message
from a2a.types.a2a_pb2 import Role, SendMessageRequest

from tailrace.aws import VIEWER_HOST
from tailrace.log.sqlite import SQLiteLog
from tailrace.owner import OWNER_HEADER, SHARED_OWNER
from tests.runtime.bundle import ROOT, SECRET
from tests.runtime.emulator import Emulator
from tests.runtime.events import rest_api_event
from tests.support.conditions import eventually
from tests.support.jsonrpc import rpc
from tests.support.processes import agent

BEARER = {"authorization": f"Bearer {SECRET}"}
VERSION = {"a2a-version": "1.0"}
AGENT = "/agents/ManySteps"  # as the template has its name


def through_the_distribution(
    method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
) -> dict[str, Any]:
    """Return the event of a request whose viewer used the host in its `Host`."""
    pairs = [(name, value) for name, value in headers if name.lower() != VIEWER_HOST]
    host = next(value for name, value in pairs if name.lower() == "host")
    others = [pair for pair in pairs if pair[0].lower() != "host"]
    # API Gateway takes a slash at the end of a path away.
    return rest_api_event(method, target.rstrip("/"), [*others, (VIEWER_HOST, host)], body)


@contextlib.asynccontextmanager
async def door(layer: Path, folder: Path, secret: str = SECRET) -> AsyncIterator[httpx.AsyncClient]:
    async with agent(folder, "many_steps") as url:
        environ = {
            "TAILRACE_DATA_DIR": str(folder),
            "TAILRACE_ORCHESTRATOR": "many_steps",
            "TAILRACE_ORCHESTRATOR_URL": url,
            "TAILRACE_ACCESS_SECRET": secret,
        }
        emulator = Emulator(
            *(layer, ROOT / "functions", "gateway.handler.handler"),
            python=sys.executable,
            environ=environ,
            environments=2,
            event=through_the_distribution,
        )
        async with emulator as function, httpx.AsyncClient(base_url=function.url, timeout=60) as http:
            yield http


async def test_the_official_client_finds_the_agent_by_its_public_card_and_gets_a_stream(
    layer: Path, tmp_path: Path
) -> None:
    async with door(layer, tmp_path) as http:
        host = str(http.base_url).rstrip("/")
        card = await A2ACardResolver(http, host + AGENT).get_agent_card()
        assert card == await A2ACardResolver(http, host).get_agent_card()
        # The viewer's own host, and TLS, which only CloudFront has here.
        for interface in card.supported_interfaces:
            assert interface.url.rstrip("/") == f"{host}/agents/many_steps".replace("http://", "https://")
            interface.url = interface.url.replace("https://", "http://")
        http.headers.update(BEARER)
        client = await create_client(card, client_config=ClientConfig(httpx_client=http, streaming=True))
        message = new_text_message("2 steps, 1 ms each", role=Role.ROLE_USER)
        seen = [part async for part in client.send_message(SendMessageRequest(message=message))]
        async with contextlib.AsyncExitStack() as stack:
            log = SQLiteLog(tmp_path / "log.sqlite3")
            stack.push_async_callback(log.close)

            async def is_listed_as_completed() -> bool:
                page = await log.list(SHARED_OWNER, limit=10, token="")
                return [head.state for head in page.heads] == ["TASK_STATE_COMPLETED"]

            await eventually(is_listed_as_completed)  # a moment after the last event
    assert len(seen) > 2
    assert seen[-1].status_update.status.state == 3  # completed


async def test_nobody_gets_in_without_a_credential_and_other_front_ends_have_the_same_door(
    layer: Path, tmp_path: Path
) -> None:
    async with door(layer, tmp_path) as http:
        call = rpc("ListTasks", {})
        for unknown in (
            {}, {"authorization": "Bearer guess"}, {"authorization": f"Basic {SECRET}"}, {OWNER_HEADER: "shared"},
        ):  # fmt: skip
            refused = await http.post(f"{AGENT}/", json=call, headers={**VERSION, **unknown})
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="tailrace"')
            assert (await http.get(f"{AGENT}/tasks", headers={**VERSION, **unknown})).status_code == 401
        # With a cookie the request has to come from the page.
        forged = await http.post(f"{AGENT}/", json=call, headers={**VERSION, "cookie": f"tailrace-secret={SECRET}"})
        let_in = await http.post(f"{AGENT}/", json=call, headers={**VERSION, **BEARER, OWNER_HEADER: "other"})
        elsewhere = await http.post("/", json=call, headers={**VERSION, **BEARER})
        message = {"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "2 steps, 1 ms each"}]}
        chat = {"id": "chat-1", "messages": [message]}
        strangers = await http.post("/api/chat", json=chat)
        streamed = await http.post("/api/chat", json=chat, headers=BEARER)
        hello = {"id": "m-2", "role": "user", "content": "2 steps, 1 ms each"}
        run = partial(http.post, "/api/agui/many_steps", json={"threadId": "t", "runId": "r", "messages": [hello]})
        stranger, ran = await run(), await run(headers=BEARER)
        ids = [line[4:] for line in ran.text.splitlines() if line.startswith("id: ")]
        rest = await run(headers={**BEARER, "last-event-id": ids[-2]})
    assert forged.status_code == 403
    assert (let_in.status_code, let_in.json()["result"]["tasks"]) == (200, [])
    assert elsewhere.status_code == 404
    assert (strangers.status_code, streamed.headers["x-vercel-ai-ui-message-stream"]) == (401, "v1")
    assert (stranger.status_code, ran.headers["content-type"].partition(";")[0]) == (401, "text/event-stream")
    assert ran.text.index("RUN_STARTED") < ran.text.index("STEP_STARTED") < ran.text.index("RUN_FINISHED")
    assert [line[4:] for line in rest.text.splitlines() if line.startswith("id: ")] == ids[-1:]
    assert streamed.text.endswith('data: {"type":"finish","finishReason":"stop"}\n\ndata: [DONE]\n\n')
