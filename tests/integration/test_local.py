"""`make run`: it finds its port, says what is wrong in a sentence, and keeps the functions running."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from stack import ROOT, stack

from local.functions import listen


def test_a_taken_port_leads_to_the_next_free_one() -> None:
    with listen(0) as taken, listen(taken.getsockname()[1]) as next_one:
        assert next_one.getsockname()[1] > taken.getsockname()[1]
        assert next_one.getsockname()[0] == "127.0.0.1"


def test_listening_is_on_loopback_only() -> None:
    with listen(0) as listener:
        port = listener.getsockname()[1]
        with socket.socket() as elsewhere:
            elsewhere.bind(("127.0.0.2", port))  # free: nothing listens on all addresses


@pytest.mark.parametrize(("variable", "value"), [("TAILRACE_PORT", "many"), ("TAILRACE_RENEW_S", "9")])
def test_a_wrong_setting_ends_it_with_a_sentence(variable: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local"], cwd=ROOT, env={**os.environ, variable: value}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"tailrace: {variable} has value")
    assert "Traceback" not in done.stderr


async def test_a_killed_agent_is_started_again_at_its_address(tmp_path: Path) -> None:
    async with stack(tmp_path) as running:
        await running.kill("log_analyst")
        async with httpx.AsyncClient(base_url=running.url, timeout=60) as http:
            agents = (await http.get("/api/agents")).json()["agents"]
    assert [agent.get("name") for agent in agents] == ["orchestrator", "log_analyst", "metric_analyst"]


async def test_the_page_comes_with_its_security_policy(tmp_path: Path) -> None:
    async with stack(tmp_path) as running, httpx.AsyncClient(base_url=running.url, timeout=60) as http:
        page = await http.get("/")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert (await http.get("/..%2fpyproject.toml")).status_code == 404
        assert (await http.get("/api/health", headers={"Host": "rebound.example"})).status_code == 200
        assert (await http.get("/api/tasks", headers={"Host": "rebound.example"})).status_code == 401
