"""`python -m tailrace.conformance` judges other servers too, and keeps a command running that dies."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

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
            until = time.monotonic() + 60
            while True:
                try:
                    assert httpx.get(url).status_code == 200
                    break
                except httpx.TransportError:
                    assert time.monotonic() < until, "it was not started again"
                    time.sleep(0.05)
    with pytest.raises(httpx.TransportError):
        httpx.get(url)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--command", '"'], "cannot be run: No closing quotation"),
        (["--command", "there-is-no-such-program"], "cannot be run: "),
        (["--as", "no-colon"], "a header like"),
        (["--others", "x: a\nb"], "a header like"),
        (["--only", "99.9z"], "no scenario"),
    ],
)
def test_what_is_named_wrongly_is_told_before_anything_is_played(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["http://127.0.0.1:9", *arguments])
    except SystemExit as exit_of_argparse:
        code = exit_of_argparse.code  # type: ignore[assignment]
    assert code == 2
    assert why in capsys.readouterr().err


ODD = [b"", b"null", b"5", b"{}", b'{"result":{"task":5}}', b"\xff", b"[" * 5_000, b'"\x1b[2J\\u202e"', b'{"error":5}']


def card_at(url: object) -> dict[str, Any]:
    return {"supportedInterfaces": [{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]}


async def test_no_answer_of_a_server_stops_it_or_commands_its_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    card: dict[str, Any] = {}
    begun: bytes = b""
    odd: bytes = b""

    async def server(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["path"].endswith("agent-card.json"):
            await JSONResponse(card)(scope, receive, send)
        elif scope["path"].endswith("/me"):
            await Response("no", 404)(scope, receive, send)
        elif b'"SendMessage"' in await Request(scope, receive).body():
            await Response(begun)(scope, receive, send)
        else:
            await Response(b"id: 1\ndata: " + odd + b"\n\n", media_type="text/event-stream")(scope, receive, send)

    async with serve(server) as url:
        options = [url, "--only", TOLD, "--via", "subscribe"]
        odd_cards = [{}, {"supportedInterfaces": 5}, {"supportedInterfaces": [5]}]
        for named in (*odd_cards, card_at(5), card_at("http://[::1"), card_at("http://xn--/")):
            card = named
            assert await asyncio.to_thread(main, options) == 2
        card = card_at(url)
        for each in ODD:
            begun = each
            assert await asyncio.to_thread(main, options) == 2
        begun = b'{"result":{"task":{"id":"x"}}}'
        for each in ODD:
            odd = each
            assert await asyncio.to_thread(main, options) == 1
    printed = capsys.readouterr()
    assert "no task was begun: 200 [[[[" in printed.out
    assert "an event cannot be read (RecursionError" in printed.out
    assert "\\x1b[2J" in printed.out
    assert "\x1b" not in printed.out + printed.err
