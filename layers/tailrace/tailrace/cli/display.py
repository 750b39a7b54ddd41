"""How a run is shown while it lasts: live in a terminal, as plain lines elsewhere, or as JSON.

The run is shown on stderr, and its answer on stdout: `tailrace ask … > answer.md` keeps only the answer.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Protocol

import msgspec
from markdown_it import MarkdownIt
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.markdown import Markdown
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.spinner import Spinner
from rich.text import Text

from tailrace.cli.escaping import one_line, safe
from tailrace.cli.run_view import RunView, Step
from tailrace.client import Event
from tailrace.events import encode

# How many lines of the answer are shown while it comes, and how many open steps.
_ANSWER_LINES, _MOST_STEPS = 6, 12
# How long an answer is still shown as Markdown, in characters: 140,000 of code took 15 s.
_MOST_MARKDOWN = 50_000
# A file may be named by its URL.
_LONGEST_FILE = 2_000
# The columns in which the terminal shows `^C`. If it went on in the next line, a line could not be taken away again.
_CTRL_C = 2
_STYLES = {"✓": "green", "✗": "red", "→": "cyan", "!": "yellow"}


class Display(Protocol):
    """What the command shows."""

    def start(self) -> None:
        """Begin to show a run, at first or again after a question."""

    def stop(self) -> None:
        """Show nothing that moves any more."""

    def event(self, event: Event) -> None:
        """Show what has happened."""

    def cut(self, reason: str | None) -> None:
        """Show that the server is away, and why; None: it is back."""

    def uploaded(self, name: str, sent: int, total: int) -> None:
        """Show how many bytes of a file were sent."""

    def answer(self, text: str, data: list[Any], files: list[str]) -> None:
        """Show what the run came to: its text, else its data, and the names of its files."""

    def note(self, text: str) -> None:
        """Say something for people, in its own lines."""

    def problem(self, text: str) -> None:
        """Say in one line what is wrong."""


class JsonLines:
    """One event a line, as A2A's JSON in ASCII, on stdout. Problems are on stderr."""

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def event(self, event: Event) -> None:
        value: object
        if event.gap is not None:
            value = {"gap": {"from": event.gap[0], "to": event.gap[1]}}
        elif event.json:
            value = msgspec.json.decode(event.json)
        else:
            value = {"task": msgspec.to_builtins(event.task)} if event.task is not None else {}
            value = value or {"message": {"role": "ROLE_AGENT", "parts": msgspec.to_builtins(event.parts)}}
        self.value(value)

    def value(self, value: object) -> None:
        """Write any JSON as a line."""
        value = msgspec.json.decode(encode(value))
        print(json.dumps(value, separators=(",", ":")), flush=True)

    def cut(self, reason: str | None) -> None: ...
    def uploaded(self, name: str, sent: int, total: int) -> None: ...
    def answer(self, text: str, data: list[Any], files: list[str]) -> None: ...
    def note(self, text: str) -> None: ...

    def problem(self, text: str) -> None:
        print(f"tailrace: {one_line(text, 1_000)}", file=sys.stderr, flush=True)


class Plain(JsonLines):
    """Lines as they come, where nobody looks: in a pipe or a log."""

    def __init__(self, view: RunView) -> None:
        self._view = view

    def event(self, event: Event) -> None:
        for line in self._view.add(event):
            print(line, file=sys.stderr, flush=True)

    def cut(self, reason: str | None) -> None:
        words = "the server answers again" if reason is None else f"{one_line(reason)} Trying again."
        print(words, file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        print(safe(text), file=sys.stderr, flush=True)

    def answer(self, text: str, data: list[Any], files: list[str]) -> None:
        print_answer(text, data, files)


class LiveDisplay:
    """The run in a terminal: what is done above, what works below, with the answer as it comes."""

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._away = ""
        self._spinner = Spinner("dots")
        self._uploads = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            console=self._console,
        )
        self._files: dict[str, TaskID] = {}

    def start(self) -> None:
        if self._live is None:
            self._live = Live(get_renderable=self.moving, console=self._console, transient=True, refresh_per_second=8)
            self._live.start()

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def event(self, event: Event) -> None:
        self._files.clear()
        for line in self._view.add(event):
            self._line(line)

    def cut(self, reason: str | None) -> None:
        self._away = "" if reason is None else one_line(reason)

    def uploaded(self, name: str, sent: int, total: int) -> None:
        if name not in self._files:
            self._files[name] = self._uploads.add_task(one_line(name, 40), total=total)
        self._uploads.update(self._files[name], completed=sent)

    def answer(self, text: str, data: list[Any], files: list[str]) -> None:
        self.stop()
        print_answer(text, data, files)

    def note(self, text: str) -> None:
        self.stop()
        self._console.print(Text(safe(text), "yellow"), soft_wrap=True)

    def problem(self, text: str) -> None:
        self.stop()
        self._console.print(Text(f"tailrace: {one_line(text, 1_000)}", "red"), soft_wrap=True)

    def _line(self, line: str) -> None:
        self._console.print(Text(line, _STYLES.get(line[:1], "dim")), soft_wrap=True)

    def moving(self) -> RenderableType:
        """What moves. It is asked for several times a second, in a thread of rich's."""
        width, height = self._console.size
        lines = [self._step(step) for step in list(self._view.steps.values())[-_MOST_STEPS:]]
        lines += self._newest_lines(self._view.answer, max(1, width - 2 - _CTRL_C))
        if self._away:
            lines.append(Text(f"! {self._away} Trying again.", "yellow", no_wrap=True, overflow="ellipsis"))
        # What does not fit could not be taken away again.
        lines = lines[-max(1, height - 1 - len(self._files)) :]
        rows: list[RenderableType] = [self._uploads.get_renderable()] if self._files else []
        return Constrain(Group(*rows, *lines), max(1, width - _CTRL_C)) if rows or lines else self._spinner

    def _newest_lines(self, text: str, width: int) -> list[Text]:
        tail = Text(text[-2 * _ANSWER_LINES * width :], "italic")
        return (
            [Text("  ").append_text(line) for line in tail.wrap(self._console, width)[-_ANSWER_LINES:]] if text else []
        )

    def _step(self, step: Step) -> Text:
        share = ""
        if step.done is not None and step.total:
            share = f" {step.done:g}/{step.total:g}"
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append_text(Text("  " * step.depth + "… ", "cyan"))
        text.append_text(Text(f"{step.title}{share}"))
        if step.note:
            text.append_text(Text(f"  {step.note}", "dim"))
        return text


def print_answer(text: str, data: list[Any], files: list[str]) -> None:
    """Print what a run came to on stdout. In a terminal its text is Markdown; if it has none, its data are shown."""
    lines = [f"file: {one_line(file, _LONGEST_FILE)}" for file in files]
    if not text.strip():
        lines = [safe(json.dumps(value, indent=2, ensure_ascii=False)) for value in data] + lines
    if not sys.stdout.isatty():
        if text:
            print(safe(text.removesuffix("\n")), flush=True)
        for line in lines:
            print(line, flush=True)
        return
    console = Console(highlight=False)
    if text.strip():
        console.print(_markdown(text) if len(text) <= _MOST_MARKDOWN else Text(safe(text)))
    for line in lines:
        console.print(Text(line, "cyan"), soft_wrap=True)


def _markdown(text: str) -> Markdown:
    """The text as Markdown. What looks like HTML in it is text: rich would leave it out."""
    markdown = Markdown("", hyperlinks=False)
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
    markdown.parsed = parser.parse(safe(text))
    return markdown
