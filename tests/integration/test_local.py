"""`make run` finds a port, reports a wrong setting in one sentence, and keeps the functions running."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from local.functions import listen, specialists
from tailrace.errors import ConfigError
from tests.support.jsonrpc import rpc
from tests.support.processes import ROOT, Stack, stack


def test_a_taken_port_leads_to_the_next_free_port() -> None:
    with listen(0) as taken, listen(taken.getsockname()[1]) as next_one:
        assert next_one.getsockname()[1] > taken.getsockname()[1]
        assert next_one.getsockname()[0] == "127.0.0.1"


def test_listening_is_on_loopback_only() -> None:
    with listen(0) as listener:
        port = listener.getsockname()[1]
        with socket.socket() as elsewhere:
            elsewhere.bind(("127.0.0.2", port))  # free, because nothing listens on all addresses


@pytest.mark.parametrize("name", ["a,b", "a=b", "a.b", "a b", "_a"])
def test_a_folder_whose_name_cannot_be_imported_is_named(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "handler.py").touch()
    monkeypatch.setattr("local.functions.FUNCTIONS", tmp_path)
    with pytest.raises(
        ConfigError, match=f"A folder in functions/ has value {re.escape(repr(name))}, but must be letters"
    ):
        specialists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TAILRACE_PORT", "many"),
        ("TAILRACE_RENEW_S", "9"),
        ("TAILRACE_ORCHESTRATOR", "nobody"),
        ("TAILRACE_LOG", "memory"),
        ("TAILRACE_DATA_DIR", "/dev/null/data"),
    ],
)
def test_a_wrong_setting_ends_make_run_with_one_sentence(variable: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local"], cwd=ROOT, env={**os.environ, variable: value}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"tailrace: {variable} has value")
    assert "Traceback" not in done.stderr


async def test_a_killed_agent_restarts_at_the_same_address(shipped: Stack) -> None:
    await shipped.kill("log_analyst")
    async with shipped.client() as http:
        agents = (await http.get("/api/agents")).json()["agents"]
    assert [agent.get("name") for agent in agents] == ["orchestrator", "log_analyst", "metric_analyst"]


async def test_no_process_outlives_make_run_and_the_next_one_has_the_same_addresses(tmp_path: Path) -> None:
    async with stack(tmp_path, forked=False) as killed:
        before = await places(killed)
        await assert_all_end(killed, signal.SIGKILL)
    async with stack(tmp_path) as running:
        assert await places(running) == before
        await assert_all_end(running, signal.SIGHUP)  # the terminal was closed
    assert not (tmp_path / "run-secret").exists()


async def assert_all_end(running: Stack, number: signal.Signals) -> None:
    """Send the supervisor a signal, and wait until none of its functions lives."""
    names = ("gateway", "orchestrator", "log_analyst", "metric_analyst", "sweeper")
    pids = [await running.pid_of(name) for name in names]
    running.supervisor.send_signal(number)
    async with asyncio.timeout(60):
        await running.supervisor.wait()
        while left := {name for name, pid in zip(names, pids, strict=True) if pid is None or _lives(pid)}:
            assert None not in pids, left
            await asyncio.sleep(0.05)
    async with httpx.AsyncClient(timeout=60) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{running.url}/api/health")


def _lives(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")  # a zombie that its new parent has not reaped


async def places(running: Stack) -> dict[str, str]:
    """Return the URL of each agent."""
    async with running.client() as http:
        agents = (await http.get("/api/agents")).json()["agents"]
    return {agent["name"]: agent["url"] for agent in agents}


async def test_the_page_has_a_content_security_policy(shipped: Stack) -> None:
    async with shipped.client() as http:
        page = await http.get("/")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert (await http.get("/..%2fpyproject.toml")).status_code == 404
        assert (await http.get("/api/health", headers={"Host": "rebound.example"})).status_code == 200
        assert (await http.get("/api/tasks", headers={"Host": "rebound.example"})).status_code == 401


async def test_only_users_who_can_read_the_data_folder_may_call_an_agent(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with stack(folder) as running, running.client() as known, httpx.AsyncClient(timeout=60) as http:
        cards = (await known.get("/api/agents")).json()["agents"]
        (agent_url,) = [card["url"] for card in cards if card["name"] == "log_analyst"]
        call = rpc("ListTasks")
        refused = await http.post(agent_url, json=call, headers={"A2A-Version": "1.0"})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        secret = (folder / "run-secret").read_text()
        headers = {"A2A-Version": "1.0", "Authorization": f"Bearer {secret}"}
        assert (await http.post(agent_url, json=call, headers=headers)).json()["result"]["totalSize"] == 0
        assert {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in folder.rglob("*")} == dict.fromkeys(
            (path.name for path in folder.rglob("*")), 0
        )
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not (folder / "run-secret").exists()
    logs = "".join(path.read_text() for path in (folder / "logs").iterdir())
    assert secret not in logs
