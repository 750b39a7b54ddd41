"""The commands: `tailrace ask`, `tail`, `replay`, `reply`, `tasks`, `cancel` and `agents`; `new` and `add`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tailrace.cli.calling import called
from tailrace.cli.display import Display, JsonLines, LiveDisplay, Plain
from tailrace.cli.escaping import one_line
from tailrace.cli.exit_codes import Exit, exit_of_error
from tailrace.cli.following import Following, is_terminal
from tailrace.cli.run_view import RunView
from tailrace.client import Client, ClientError, Task
from tailrace_start.command import COMMANDS
from tailrace_start.command import run as begin

app = typer.Typer(
    name="tailrace",
    help="Ask agents, and watch what they do. A lost connection loses nothing.",
    epilog="Exit codes: 0 completed, 1 failed or rejected, 2 wrong usage, 3 waits for an answer, 4 canceled, "
    "5 no server can be reached, 6 the server refuses, 130 Ctrl-C (the task goes on).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="TAILRACE_URL",
        help="A gateway, or any A2A agent; TAILRACE_TOKEN lets in. By default the `make run` of this folder.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One event, or one entry, a line.")]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task's id.")]
Files = Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Files to send.")]


class Work:
    """What a command works with."""

    def __init__(self, client: Client, display: Display, view: RunView) -> None:
        self.client = client
        self.display = display
        self.view = view

    def follow(self, task: Task | str, cursor: int = 0) -> Exit:
        """Show a task from after the cursor on, and ask in a terminal what it asks."""
        asks = isinstance(self.display, LiveDisplay)
        return Following(self.client, self.display, self.view, asks=asks).follow(task, cursor)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """While something is sent, Ctrl-C says that it may have arrived."""
        try:
            yield
        except KeyboardInterrupt:
            self.display.problem(f"It may have arrived before Ctrl-C. Your tasks are listed by: {called()} tasks")
            raise

    def replay(self, task_id: str, speed: float) -> Exit:
        """Show a task again, and ask nothing."""
        return Following(self.client, self.display, self.view, asks=False).follow(task_id, speed=speed)


@app.command()
def ask(
    text: Annotated[str, typer.Argument(help="What to do.")],
    files: Files = None,
    agent: Annotated[str | None, typer.Option(help="Which agent gets it; by default the default agent.")] = None,
    context: Annotated[str | None, typer.Option(help="The conversation (contextId) to go on with.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Give an agent some work, and watch it."""
    with _working(url, as_json=as_json) as work:
        work.display.start()
        with work.sending():
            task = work.client.send(
                text, files=files or [], agent=agent, context_id=context, on_progress=work.display.uploaded
            )
        _end(work, task.id, lambda: work.follow(task))


@app.command()
def tail(
    task_id: TaskId,
    cursor: Annotated[int, typer.Option(min=0, help="The seq of the last event that is known.")] = 0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show what a task has done, and watch it on."""
    with _working(url, as_json=as_json) as work:
        _end(work, task_id, lambda: work.follow(task_id, cursor))


@app.command()
def replay(
    task_id: TaskId,
    speed: Annotated[float, typer.Option(min=0.0, help="How much faster than it happened; 0 is at once.")] = 1.0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show a task again from its first event, at the pace at which it happened."""
    with _working(url, as_json=as_json) as work:
        _end(work, task_id, lambda: work.replay(task_id, speed))


@app.command()
def reply(
    task_id: TaskId,
    answer: Annotated[str, typer.Argument(help="The answer.")],
    files: Files = None,
    question: Annotated[str | None, typer.Option(help="The id of the question, if several are open.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Answer what a task asks, and watch it on."""
    with _working(url, as_json=as_json) as work:
        cursor = work.client.task(task_id).seq
        work.display.start()
        given, answers = (answer, None) if question is None else (None, {question: answer})
        with work.sending():
            work.client.reply(task_id, given, answers=answers, files=files or [], on_progress=work.display.uploaded)
        _end(work, task_id, lambda: work.follow(task_id, cursor))


@app.command()
def tasks(
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List your tasks, the newest first."""
    with _working(url, as_json=as_json) as work:
        rows = []
        for number, task in enumerate(work.client.tasks(), 1):
            state = task.state.removeprefix("TASK_STATE_").lower().replace("_", " ")
            rows.append([task.id, state, task.agent, _local_time(task.created)])
            if as_json:
                JsonLines().value(msgspec.to_builtins(task))
            if number == limit:
                break
        if not as_json:
            _table(["task", "state", "agent", "created"], rows)


@app.command()
def cancel(task_id: TaskId, url: Url = None) -> None:
    """Cancel a task."""
    with _working(url) as work:
        work.client.cancel(task_id)


@app.command()
def agents(url: Url = None, as_json: AsJson = False) -> None:
    """List the agents that can be asked, the default one first."""
    with _working(url, as_json=as_json) as work:
        listed = work.client.agents()
        if as_json:
            for agent in listed:
                JsonLines().value(msgspec.to_builtins(agent))
        else:
            rows = [
                [each.name, f"does not answer: {each.error}" if each.error else each.description] for each in listed
            ]
            _table(["agent", "description"], rows)


# `tailrace new` and `tailrace add` read their arguments themselves, as they also do where typer is not installed.
_AS_IT_IS = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(help=COMMANDS["new"], context_settings=_AS_IT_IS, add_help_option=False)
def new(context: typer.Context) -> None:
    raise typer.Exit(begin(["new", *context.args]))


@app.command(help=COMMANDS["add"], context_settings=_AS_IT_IS, add_help_option=False)
def add(context: typer.Context) -> None:
    raise typer.Exit(begin(["add", *context.args]))


def run(arguments: list[str] | None = None) -> int:
    """Run the command with these arguments, by default the process's; return its exit code."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except typer.Abort:
        return Exit.INTERRUPTED
    except Exception as error:
        if not (hasattr(error, "format_message") and hasattr(error, "exit_code")):
            raise
        text = error.format_message()
        given = sys.argv[1:] if arguments is None else arguments
        # Without arguments it is the help.
        inside = getattr(error, "ctx", None)  # of the command that was used wrongly
        command = f" {inside.info_name}" if inside is not None and inside.parent is not None else ""
        print(f"tailrace: {text.rstrip('.')}. See {called()}{command} --help." if given else text, file=sys.stderr)
        return int(error.exit_code)
    return code if isinstance(code, int) else Exit.COMPLETED


@contextmanager
def _working(url: str | None, *, as_json: bool = False) -> Iterator[Work]:
    """What a command works with. It exits with one line for what the server does not do.

    Raises:
        typer.Exit
    """
    view = RunView()
    display: Display = JsonLines() if as_json else LiveDisplay(view) if is_terminal() else Plain(view)
    try:
        with Client(url or None, on_cut=display.cut) as client:
            yield Work(client, display, view)
    except ClientError as error:
        display.problem(str(error))
        raise typer.Exit(exit_of_error(error)) from None
    except OSError as error:  # A full disk, or the end of a pipe: `… | head`.
        with suppress(OSError):
            display.stop()
            if not isinstance(error, BrokenPipeError):
                display.problem(f"The output could not be written: {error.strerror}.")
        _write_nowhere()
        raise typer.Exit(Exit.FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    finally:
        with suppress(OSError):
            display.stop()


def _local_time(ms: int) -> str:
    """The time in this machine's zone; "" if there is none, or none that a calendar has."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if ms else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _write_nowhere() -> None:
    """Let what could not be written go nowhere: Python tries it once more at its end, and would say so."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _end(work: Work, task_id: str, follow: Callable[[], Exit]) -> None:
    """Follow a task, and exit with its code. Ctrl-C ends the watching only.

    Raises:
        typer.Exit
    """
    try:
        code = follow()
    except KeyboardInterrupt:
        again = called()
        work.display.problem(
            f"The task goes on. Watch it with: {again} tail {task_id}, or end it with: {again} cancel {task_id}"
        )
        code = Exit.INTERRUPTED
    raise typer.Exit(code)


def _table(names: list[str], rows: list[list[str]]) -> None:
    """Print rows: as a table in a terminal, with tabs elsewhere."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(one_line(cell, 1_000) for cell in row))
        sys.stdout.flush()
        return
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(one_line(cell, 1_000)) for cell in row))
    Console(highlight=False).print(table)
