"""The command `tailrace`, where no person sits: what it prints and how it exits."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

import tailrace
from gateway.owner import bearer_in
from tailrace.cli import main
from tailrace.cli.commands import run
from tailrace.cli.escaping import safe
from tailrace.client import Client, Task
from tests.sample_agents.runs_commands import FINDINGS, runs_commands
from tests.support.in_process import system

UNKNOWN = "0ae05c5d-a7fd-5fab-99aa-c8fcee99f880"


class Done(NamedTuple):
    """What a command has printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, dict[str, object]]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Command:
    """Runs the command in this process against a gateway."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *arguments: str) -> Done:
        code = await asyncio.to_thread(run, list(arguments))
        printed = self._capsys.readouterr()
        return Done(code, printed.out, printed.err)


@pytest_asyncio.fixture
async def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Command]:
    sut = system(runs_commands(tmp_path), tmp_path, decide_owner=lambda request: bearer_in(request) or None)
    async with asyncio.timeout(60), sut as gateway:
        monkeypatch.setenv("TAILRACE_URL", gateway.url)
        monkeypatch.setenv("TAILRACE_TOKEN", "alice")
        yield Command(capsys)


async def test_the_answer_is_on_stdout_and_the_run_on_stderr(command: Command) -> None:
    done = await command("ask", "say Hello; 2 events; result")
    assert (done.code, done.out) == (0, "Hello\n")
    assert "event 2" in done.err
    assert "→ findings" in done.err
    assert "✓ orchestrator · step" in done.err


async def test_json_is_one_event_a_line_and_a_task_can_be_told_again(command: Command) -> None:
    done = await command("ask", "say Grüße; result", "--json")
    assert done.code == 0
    assert done.out.isascii()
    task_id = str(done.events[0]["task"]["id"])
    for again in (await command("tail", task_id, "--json"), await command("replay", task_id, "--json", "--speed", "0")):
        assert again == done
    assert (await command("tail", task_id, "--json", "--cursor", "2")).events == done.events[2:]
    result = next(each["artifactUpdate"] for each in done.events if "findings" in str(each.get("artifactUpdate")))
    assert result["artifact"]["parts"] == [{"data": FINDINGS}]  # type: ignore[index]
    (listed,) = (await command("tasks", "--json")).events
    assert listed["id"] == task_id
    assert (await command("tasks")).out.startswith(f"{task_id}\tcompleted\torchestrator\t")
    assert (await command("agents")).out == "orchestrator\tFor tests.\n"


async def test_ctrl_c_while_something_is_sent_says_that_it_may_have_arrived(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    waiting = (await command("ask", "ask Which?", "--json")).events[0]["task"]["id"]
    monkeypatch.setattr(Client, "send", interrupted)
    monkeypatch.setattr(Client, "reply", interrupted)
    for done in (await command("ask", "say Hello"), await command("reply", str(waiting), "this")):
        assert done.code == 130
        assert done.err.startswith("tailrace: It may have arrived before Ctrl-C.")


async def test_a_time_that_no_calendar_has_is_not_shown(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    await command("ask", "say Hello")
    for ms in (10**18, -(10**18), 2**63 - 1):
        monkeypatch.setattr(Task, "created", ms)
        listed = await command("tasks")
        assert (listed.code, listed.out.endswith("\tcompleted\torchestrator\t\n")) == (0, True)


async def test_a_question_is_answered_by_another_command(command: Command) -> None:
    asked = await command("ask", "say Well; ask Which?; say done")
    assert asked.code == 3
    assert "\nWhich?\ntailrace: The task waits for an answer. Send it with: " in asked.err
    task_id = asked.err.split(" reply ")[1].split()[0]
    assert (await command("tail", task_id)).code == 3
    replied = await command("reply", task_id, "this")
    assert (replied.code, replied.out) == (0, "Well<this>done\n")


async def test_what_it_says_to_type_is_how_it_was_called(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for program, typed in (
        (str(Path(tailrace.__file__).with_name("__main__.py")), "a/python -m tailrace"),
        (str(tmp_path / "my bin" / "tailrace"), "'my bin/tailrace'"),
    ):
        monkeypatch.setattr(sys, "executable", str(tmp_path / "a" / "python"))
        monkeypatch.setattr(sys, "argv", [program])
        assert f"Send it with: {typed} reply " in (await command("ask", "ask Which?")).err
        assert (await command("ask")).err == f"tailrace: Missing argument 'text'. See {typed} ask --help.\n"
        assert (await command("nosuch")).err == f"tailrace: No such command 'nosuch'. See {typed} --help.\n"


async def test_the_exit_code_says_how_it_ended(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = await command("ask", "fail it broke")
    assert failed.code == 1
    assert failed.err.splitlines()[-1].startswith("tailrace: The task ended failed: ")
    assert (await command("ask", "reject not mine")).code == 1
    waiting = (await command("ask", "ask Which?", "--json")).events[0]["task"]["id"]
    assert (await command("cancel", str(waiting))).code == 0
    assert (await command("tail", str(waiting))).code == 4
    assert (await command("cancel", str(waiting))).code == 6
    unknown = await command("tail", UNKNOWN)
    assert unknown.code == 6
    assert UNKNOWN in unknown.err
    assert (await command("tail", "\udcff")).code == 6
    assert (await command("tail")).code == 2
    assert (await command("ask", "hello", "missing.log")).code == 2
    monkeypatch.setenv("TAILRACE_URL", "nowhere")
    assert (await command("tasks")).code == 2
    monkeypatch.setenv("TAILRACE_URL", "http://127.0.0.1:9")
    away = await command("tasks")
    assert (away.code, away.err.count("\n")) == (5, 1)


async def test_no_text_of_an_agent_commands_the_terminal(command: Command) -> None:
    done = await command("ask", "say \x1b]0,owned\x07\x1b[2J\u202etxt.exe; fail \x1b[31m")
    assert "\x1b" not in done.out + done.err
    assert "\\x1b]0,owned\\x07" in done.out
    assert "\\u202e" in done.out
    assert safe("a\r\nb\tc\rd\x9be") == "a\nb\tc\\x0dd\\x9be"


async def test_an_output_that_cannot_be_written_is_told_in_a_line(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    for arguments in (["agents"], ["agents", "--json"], ["ask", "say Hello"]):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", Full())
            done = await command(*arguments)
        assert done.code == 1
        assert done.err.splitlines()[-1] == "tailrace: The output could not be written: No space left on device."


async def test_an_output_of_another_encoding_gets_all_that_it_can_have(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["tailrace", "ask", "say Grüße"])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(), "ascii"))
        patch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
        with pytest.raises(SystemExit, match="0"):
            await asyncio.to_thread(main)
        assert written.getvalue() == b"Gr\\xfc\\xdfe\n"


async def test_an_answer_without_a_text_is_its_data(command: Command) -> None:
    done = await command("ask", "result")
    assert json.loads(done.out) == FINDINGS


async def test_a_command_whose_streams_are_closed_does_what_it_does_without_them(tmp_path: Path) -> None:
    closed = f"'{sys.executable}' -m tailrace agents <&- >&-"
    process = await asyncio.create_subprocess_shell(closed, cwd=tmp_path, env={}, stderr=asyncio.subprocess.PIPE)
    _, problem = await process.communicate()
    assert (process.returncode, problem.count(b"\n")) == (5, 1)


async def test_without_a_server_it_says_what_to_do(tmp_path: Path) -> None:
    done = await asyncio.to_thread(
        lambda: subprocess.run(
            [sys.executable, "-m", "tailrace", "agents"],
            cwd=tmp_path,
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
    )
    assert done.returncode == 5
    assert done.stderr.startswith("tailrace: No server is named")
    assert done.stderr.count("\n") == 1
