"""`python -m tailrace.conformance` judges other servers too, and keeps a command running that dies."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import httpx
import pytest

from tailrace.conformance.__main__ import main
from tailrace.conformance.command import running
from tailrace.conformance.report import Played, concerns, requirements, verdict
from tailrace.conformance.rules import Broken
from tests.resume import sdk_server
from tests.sample_agents.hello_world import hello_world
from tests.support.http import bound, serve, url_of
from tests.support.in_process import agent

TOLD = "a task is told from its first event to its end"
DIES = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(9)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


async def test_the_sdks_server_is_said_not_to_be_a_resumable_one(capsys: pytest.CaptureFixture[str]) -> None:
    socket = bound()
    url = url_of(socket)
    async with serve(sdk_server.app(f"{url}/"), socket):
        code = await asyncio.to_thread(main, [url, "--only", TOLD, "--via", "send", "--markdown"])
        again = await asyncio.to_thread(main, [url, "--only", "the agent declares the extension"])
    printed = capsys.readouterr().out
    assert (code, again) == (1, 1)
    assert "| 4.2a | broken | send: an event has the ids [], not one seq |" in printed
    assert "| 5.1b | broken | send: the stream's extensions are '' |" in printed
    assert "| 2.1a | open | the scenario ended before (4.2a) |" in printed
    assert "5.1a   broken  subscribe: the card declares []" in printed


async def test_an_agent_without_the_vocabulary_is_judged_by_what_it_answers_to_a_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with agent(hello_world()) as served:
        options = [served.url, "--text", "Good morning.", "--only", "5.3c", "--via", "subscribe"]
        assert await asyncio.to_thread(main, options) == 0
    assert "5.3c   kept    1 times, via subscribe" in capsys.readouterr().out


def test_a_requirement_that_was_broken_once_is_broken_and_one_whose_scenario_ended_is_open() -> None:
    broken = Played("second", "subscribe", ["3.1b", "2.1c"], [Broken("3.1b", "event 4 is repeated")])
    found = requirements([Played("first", "subscribe", ["3.1b", "5.6a"]), broken, Played("third", "rest", ["6.7a"])])
    assert [(each.number, each.result) for each in found] == [("2.1c", "open"), ("3.1b", "broken")]
    assert verdict(found).startswith("It is not a resumable server: 0 requirements kept, 1 broken, 1 not shown")
    assert concerns("6.7a", "browser")
    assert not concerns("5.2a", "browser")


def test_a_command_that_dies_is_started_again_and_ends_with_the_block(tmp_path: Path) -> None:
    with bound() as socket:
        port = socket.getsockname()[1]
    script = tmp_path / "dies.py"
    script.write_text(DIES)
    url = f"http://127.0.0.1:{port}"
    with running(f"{sys.executable} {script} {port}", url):
        for _ in range(2):
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{url}/die")
            until = time.monotonic() + 30
            while True:
                try:
                    assert httpx.get(url).status_code == 200
                    break
                except httpx.TransportError:
                    assert time.monotonic() < until, "it was not started again"
                    time.sleep(0.05)
    with pytest.raises(httpx.TransportError):
        httpx.get(url)
