"""The driver can fail: it names the requirement that a tampered server violates, and accepts a correct server."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.conformance.__main__ import main
from tailrace.conformance.driver import play
from tailrace.conformance.interfaces import EXTENSION
from tailrace.conformance.rules import Broken
from tailrace.conformance.scenarios import Scenario, scenarios
from tailrace.conformance.target import Target
from tests.resume.tampered import COMPLETED, Server, Tamper, serving

TOLD = "a task is told from its first event to its end"
REPLAYS = "a finished task replays from every cursor"
CUT = "a reader that is cut after every event has them all"
BEYOND = "a cursor beyond the newest event is refused"
NO_SEQ = "a cursor that is no seq is refused"
OVER = "a client that has everything of a finished task gets a stream that closes"
GONE = "a browser that has everything of a finished task gets 204"
FRAMES = "a browser's stream: retry, events, sync, end"
BY_NAME = {scenario.name: scenario for scenario in scenarios()}


def frames(change: Any) -> Tamper:
    """Return a tampering function that changes the frames of a browser's stream and the events of an agent's."""

    def tamper(server: Server) -> None:
        browser, agent = server.browser, server.agent
        server.browser = lambda cursor: change(browser(cursor), server)  # type: ignore[method-assign]
        server.agent = lambda cursor, rpc_id: change(agent(cursor, rpc_id), server)  # type: ignore[method-assign]

    return tamper


def event(seq: int, change: Any) -> Tamper:
    """Return a tampering function that changes one event."""

    def tamper(server: Server) -> None:
        (body,) = server.events[seq - 1].values()
        change(body, body["metadata"][EXTENSION])

    return tamper


def index_of(sent: list[str], seq: int) -> int:
    """Return the index of an event's frame, or the number of frames if there is none."""
    return next((index for index, frame in enumerate(sent) if frame.startswith(f"id: {seq}\n")), len(sent))


def without(sent: list[str], seq: int) -> list[str]:
    return [frame for frame in sent if not frame.startswith(f"id: {seq}\n")]


def repeats(sent: list[str], _: Server) -> list[str]:
    at = index_of(sent, 4)
    return [*sent[: at + 1], *sent[at:]]


def swaps(sent: list[str], _: Server) -> list[str]:
    at = index_of(sent, 4)
    return [*sent[:at], *reversed(sent[at : at + 2]), *sent[at + 2 :]]


def another_on_replay(sent: list[str], server: Server) -> list[str]:
    return [frame.replace('"hel"', '"HEL"') for frame in sent] if server.opened else sent


def renamed(old: str, new: str) -> Tamper:
    return frames(lambda sent, _: [each.replace(old, new) for each in sent])


def restated(seq: int, state: str) -> Tamper:
    return event(seq, lambda body, _: body["status"].update(state=state))


def replays_from_one(server: Server) -> None:
    server.frames_after = lambda cursor, rpc_id: Server.frames_after(server, 0, rpc_id)  # type: ignore[method-assign]


def goes_on_after_the_end(server: Server) -> None:
    late = copy.deepcopy(server.events[2])
    late["statusUpdate"]["metadata"][EXTENSION]["seq"] = 9
    server.events.append(late)


def closes_too_early(sent: list[str], _: Server) -> list[str]:
    return sent[: index_of(sent, 6)]


def ends_too_early(sent: list[str], _: Server) -> list[str]:
    at = index_of(sent, 6)
    return [*sent[:at], 'event: end\ndata: {"state":"TASK_STATE_WORKING","seq":5}\n\n']


def ends_with_a_seq_that_was_not_sent(sent: list[str], _: Server) -> list[str]:
    return [*sent[: index_of(sent, 6)], f'event: end\ndata: {{"state":"{COMPLETED}","seq":8}}\n\n']


def pauses(before: str, after: str = "") -> Callable[[list[str], Server], list[str]]:
    """A pause of 5 ms in place of the end, with these frames around it."""
    return lambda sent, _: [*sent[:-1], f'{before}event: pause\ndata: {{"ms":5}}\n\n{after}']


def pings(data: str) -> Callable[[list[str], Server], list[str]]:
    return lambda sent, _: [*sent[:2], f"event: ping\ndata: {data}\n\n", *sent[2:]]


def sends_anyway(sent: list[str], server: Server) -> list[str]:
    return sent or [server.frame(9, {}, 1)]


def accepts_any_cursor(server: Server) -> None:
    server.status = lambda cursor: 200  # type: ignore[method-assign]


def never_204(server: Server) -> None:
    server.status = lambda cursor: 200 if cursor <= server.last else 400  # type: ignore[method-assign]


def other_headers(server: Server) -> None:
    server.headers = lambda: {"Content-Type": "text/event-stream"}  # type: ignore[method-assign]


def plain_errors(server: Server) -> None:
    server.problem = lambda: ("application/json", {"error": "no"})  # type: ignore[method-assign]


def other_errors(server: Server) -> None:
    server.refusal = lambda: {"code": -32603, "message": "no"}  # type: ignore[method-assign]


def snapshots_always(server: Server) -> None:
    agent = server.agent
    server.agent = lambda cursor, rpc_id: agent(None, rpc_id)  # type: ignore[method-assign]


BOTH = ("browser", "subscribe")
TAMPERED: dict[str, tuple[Tamper, str, tuple[str, ...], str]] = {
    "repeats an event": (frames(repeats), TOLD, BOTH, "3.1b"),
    "skips an event": (frames(lambda sent, _: without(sent, 4)), TOLD, BOTH, "3.1b"),
    "skips the first event": (frames(lambda sent, _: without(sent, 1)), TOLD, BOTH, "3.1b"),
    "swaps two events": (frames(swaps), TOLD, BOTH, "3.1b"),
    "begins anew after a cut": (replays_from_one, CUT, BOTH, "3.1b"),
    "answers a cursor with a snapshot": (snapshots_always, REPLAYS, ("subscribe",), "3.1b"),
    "sends ids that are no seqs": (renamed("id: 4", "id: x"), TOLD, BOTH, "4.2a"),
    "sends an event without id": (renamed("id: 4\n", ""), TOLD, BOTH, "4.2a"),
    "numbers by another index": (event(4, lambda _, meta: meta.update(seq=3)), TOLD, BOTH, "4.2b"),
    "answers another request": (renamed('"id": "', '"id": "_'), TOLD, BOTH, "4.2c"),
    "names an event that has no id": (renamed("id: 4\n", "event: message\n"), TOLD, ("subscribe",), "4.2a"),
    "names an event": (renamed("id: 4\n", "id: 4\nevent: progress\n"), TOLD, BOTH, "4.2d"),
    "gives a control frame an id": (renamed("event: sync", "id: 8\nevent: sync"), FRAMES, ("browser",), "4.2d"),
    "splits the data": (renamed(', "result"', '\ndata: , "result"'), TOLD, BOTH, "4.1b"),
    "sends lines that are not of an event stream": (renamed("id: 4\n", "id: 4\nseq: 4\n"), TOLD, BOTH, "4.1a"),
    "replays another event": (frames(another_on_replay), REPLAYS, BOTH, "2.1c"),
    "leaves the metadata out": (event(4, lambda _, meta: meta.pop("attempt")), TOLD, BOTH, "2.2a"),
    "goes back an attempt": (event(4, lambda _, meta: meta.update(attempt=0)), TOLD, BOTH, "2.2b"),
    "sends an event of another task": (event(4, lambda body, _: body.update(taskId="another")), TOLD, BOTH, "2.1b"),
    "begins in another state": (restated(1, "TASK_STATE_WORKING"), TOLD, BOTH, "2.1a"),
    "changes the state in an event of another kind": (restated(4, COMPLETED), TOLD, BOTH, "2.3a"),
    "appends to a text that does not exist": (event(6, lambda body, _: body.update(append=True)), TOLD, BOTH, "2.4a"),
    "goes on after the terminal event": (goes_on_after_the_end, TOLD, ("browser",), "2.5a"),
    "does not close after the terminal event": (goes_on_after_the_end, TOLD, ("subscribe",), "4.6b"),
    "sends after the end": (frames(lambda sent, _: [*sent, ": \n\n"]), TOLD, BOTH, "4.6b"),
    "closes without the end": (frames(closes_too_early), TOLD, BOTH, "4.6b"),
    "sends an end before the task has ended": (frames(ends_too_early), TOLD, ("browser",), "6.6a"),
    "ends with a seq that it has not sent": (frames(ends_with_a_seq_that_was_not_sent), TOLD, ("browser",), "6.6a"),
    "forgets the end frame": (frames(lambda sent, _: sent[:-1]), TOLD, ("browser",), "4.6b"),
    "forgets retry": (frames(lambda sent, _: sent[1:]), FRAMES, ("browser",), "6.4a"),
    "forgets sync": (frames(lambda sent, _: [*sent[:-2], sent[-1]]), FRAMES, ("browser",), "6.4a"),
    "sends sync early": (frames(lambda sent, _: [*sent[:2], sent[-2], *sent[2:]]), FRAMES, ("browser",), "6.4b"),
    "pauses without telling an EventSource": (frames(pauses("")), TOLD, ("browser",), "6.8b"),
    "pauses longer than an EventSource": (frames(pauses("retry: 7\n\n")), TOLD, ("browser",), "6.8b"),
    "goes on after a pause": (frames(pauses("retry: 5\n\n", ": \n\n")), TOLD, ("browser",), "6.8b"),
    "sends a ping with something in it": (frames(pings('{"seq":5}')), TOLD, ("browser",), "4.3c"),
    "never answers 204": (never_204, GONE, ("browser",), "6.7a"),
    "accepts any cursor": (accepts_any_cursor, BEYOND, ("browser",), "4.5b"),
    "refuses with another code": (other_errors, BEYOND, ("subscribe",), "5.2c"),
    "sends errors of another type": (plain_errors, NO_SEQ, ("browser",), "6.9a"),
    "has other headers": (other_headers, TOLD, BOTH, "4.5a"),
    "sends an event to a reader that has them all": (frames(sends_anyway), OVER, ("subscribe",), "4.2c"),
}  # fmt: skip
CASES = [(name, via) for name, (_, _, vias, _) in TAMPERED.items() for via in vias]


def played(server: Server, scenario: Scenario, via: str) -> None:
    with serving(server) as url:
        play(scenario, via, Target(url, url))


@pytest.mark.parametrize("via", BOTH)
@pytest.mark.parametrize("name", [TOLD, REPLAYS, CUT, BEYOND, NO_SEQ, OVER, GONE, FRAMES])
def test_a_correct_server_passes_the_scenario(name: str, via: str) -> None:
    if via in BY_NAME[name].via:
        played(Server(), BY_NAME[name], via)


@pytest.mark.parametrize(("name", "via"), CASES)
def test_the_driver_notices_a_server_that(name: str, via: str) -> None:
    tamper, scenario, _, rule = TAMPERED[name]
    server = Server()
    tamper(server)
    with pytest.raises(Broken) as caught:
        played(server, BY_NAME[scenario], via)
    assert caught.value.rule == rule, str(caught.value)


@pytest.mark.parametrize(("tamper", "code", "word"), [(None, 0, "kept"), (frames(repeats), 1, "broken")])
def test_the_command_says_requirement_by_requirement_what_the_server_keeps(
    tamper: Tamper | None, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server()
    if tamper:
        tamper(server)
    with serving(server) as url:
        assert main([url, "--only", TOLD, "--via", "subscribe"]) == code
    played, _, table = capsys.readouterr().out.partition("\n\n")
    assert re.search(rf"^{word} +subscribe +{TOLD}", played, re.MULTILINE)
    assert re.search(rf"^{'3.1b' if code else '2.1a'} +{word} ", table, re.MULTILINE)
    assert ("It is a resumable server" in table) is not bool(code)


def test_a_server_that_is_none_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["http://127.0.0.1:9"]) == 2
    assert capsys.readouterr().err.startswith("tailrace: http://127.0.0.1:9 cannot be reached")
