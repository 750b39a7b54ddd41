"""The gateway serves users of any name that an identity provider may give, and shows the name."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from tailrace import AgentApp, AgentCard
from tailrace.config import Settings
from tailrace.log.sqlite import SQLiteLog
from tests.sample_agents.hello_world import hello_world
from tests.support.http import serve

NAMES = ["alice", "https://issuer.example/6f1c1c1e-0000-4000-8000-000000000000", "jürgen", "a\0b", "x" * 5000]
FILE = b"2026-01-01T10:00:00Z INFO all is well\n"


@pytest.mark.parametrize("name", NAMES)
async def test_a_user_of_any_name_can_upload_ask_and_read(tmp_path: Path, name: str) -> None:
    names = {"1": name, "2": f"{name}/2"}
    log = SQLiteLog(tmp_path / "log.sqlite3")
    card = AgentCard(name="orchestrator", description="For tests.", version="1", skills=[])
    async with serve(AgentApp(hello_world(), card, settings=Settings(data_dir=str(tmp_path)))) as agent:
        settings = Settings(data_dir=str(tmp_path), orchestrator_url=f"{agent}/")
        app = create_app(settings, log=log, decide_owner=lambda request: names.get(request.headers.get("x-user", "")))
        async with serve(app) as url, httpx.AsyncClient(base_url=url, headers={"x-user": "1"}, timeout=60) as http:
            about = {"filename": "app.log", "size": len(FILE), "sha256": hashlib.sha256(FILE).hexdigest()}
            granted = (await http.post("/api/uploads", json=about)).json()
            to = granted["upload"]
            assert (await http.request(to["method"], to["url"], headers=to["headers"], content=FILE)).status_code == 204
            body = {"message": {"parts": [{"text": "ask"}, granted["part"]]}}
            stranger = await http.post("/api/tasks", json=body, headers={"x-user": "2"})
            assert stranger.status_code == 400
            made = (await http.post("/api/tasks", json=body)).json()
            async with asyncio.timeout(60), http.stream("GET", made["streamUrl"]) as stream:
                lines = stream.aiter_lines()
                while not (await anext(lines)).startswith("id:"):
                    pass
                shown = (await http.get("/api/streams")).json()["streams"]
                assert [each["owner"] for each in shown] == [name]
                assert (await http.get("/api/streams", headers={"x-user": "2"})).json()["streams"] == []
                assert "INPUT_REQUIRED" in "".join([line async for line in lines])
            assert [task["id"] for task in (await http.get("/api/tasks")).json()["tasks"]] == [made["id"]]
            assert (await http.get("/api/tasks", headers={"x-user": "2"})).json()["tasks"] == []
            path = f"/api/tasks/{made['id']}"
            assert (await http.get(path, headers={"x-user": "2"})).status_code == 404
            assert (await http.post(f"{path}/cancel", json={})).status_code == 202
            assert (await http.get(path)).json()["status"]["state"] == "TASK_STATE_CANCELED"
    await log.close()
