"""What the command shows in a terminal fits it, and leaves nothing of an answer out."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from tailrace.a2a.incoming import Part
from tailrace.cli import display
from tailrace.cli.display import LiveDisplay, print_answer
from tailrace.cli.following import place_of
from tailrace.cli.run_view import RunView, Step


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Console:
    """The terminal in which all is shown: 40 columns and 8 rows."""
    console = Console(file=io.StringIO(), force_terminal=True, width=40, height=8, color_system=None)
    monkeypatch.setattr(display, "Console", lambda **_: console)
    return console


@pytest.mark.parametrize("answer", ["", "word " * 500, "日本語" * 500, "a\n" * 50, "\t\t\tx\n" * 9])
@pytest.mark.parametrize("steps", [0, 1, 30])
@pytest.mark.parametrize("away", [None, "It is away. " * 20])
def test_what_moves_is_never_higher_than_the_terminal(
    screen: Console, answer: str, steps: int, away: str | None
) -> None:
    view = RunView(texts={"response": answer})
    view.steps.update({str(number): Step(f"step {number} " * 20, 0, number, "note " * 30) for number in range(steps)})
    shown = LiveDisplay(view)
    shown.cut(away)
    lines = screen.render_lines(shown.moving(), pad=False)
    assert 1 <= len(lines) < screen.height
    shown_cells = [cell_len("".join(segment.text for segment in line)) for line in lines]
    assert max(shown_cells) <= screen.width - len("^C")
    if answer.startswith("word"):
        assert "word" in "".join(segment.text for segment in lines[-2])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_answer_too_long_to_be_laid_out_is_shown_as_text(screen: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out: list[str] = []
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setattr(display, "_markdown", laid_out.append)
    print_answer("```python\n" + "x = (1\n" * 10_000, [], [])
    assert not laid_out
    written: Any = screen.file
    assert written.getvalue().startswith("```python\nx = (1\n")


def test_an_answer_in_a_terminal_keeps_what_looks_like_html(screen: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    print_answer("Use `dict` or List<String> here.\n\n<b>Not bold</b>\n", [{"no": "data"}], ["a.png"])
    written: Any = screen.file
    assert "List<String>" in written.getvalue()
    assert "<b>Not bold</b>" in written.getvalue()
    assert "file: a.png" in written.getvalue()
    assert "data" not in written.getvalue()


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        (Part(filename="a.png", raw="AAAA"), "a.png"),
        (
            Part(filename="file-1.pdf", url="https://example.com/report.pdf"),
            "file-1.pdf at https://example.com/report.pdf",
        ),
        (Part(url="https://example.com/report.pdf"), "https://example.com/report.pdf"),
    ],
)
def test_a_file_that_an_answer_only_links_is_shown_with_its_url(file: Part, shown: str) -> None:
    assert place_of(file) == shown
