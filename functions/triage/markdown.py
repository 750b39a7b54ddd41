"""Other people's text in a Markdown report: log lines, names of files and series, notes of other agents.

Nothing in such a text may become markup, a link, or the end of a table's cell.
"""

from __future__ import annotations

import re

from tailrace.errors import shorten

# In characters.
_LONGEST_CODE = 120
# Characters that are markup within a line, and the middle of an address that a viewer would turn into a link.
_MARKUP = re.compile(r"([\\`*\[\]<>]|(?<!\w)_|_(?!\w)|:(?=//))")
# What starts a heading, a list or a rule at the start of a line.
_LINE_START = re.compile(r"^(\d*)([-+#~=.)])(?=[-+#~=\s]|$)")
# Control and bidirectional characters: invisible, and they change how the rest of the line is shown.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_FENCE = re.compile(r"`{3,}")


def one_line(text: str) -> str:
    """Return the text without invisible characters, with each run of white space as one space."""
    return " ".join(_INVISIBLE.sub("", text).split())


def plain(text: str) -> str:
    """Return the text as ordinary words of one line, also within a table's cell."""
    escaped = _MARKUP.sub(r"\\\1", one_line(text).replace("|", "¦"))
    return _LINE_START.sub(r"\1\\\2", escaped)


def code(text: str) -> str:
    """Return the text as inline code of at most 120 characters, also within a table's cell."""
    short = shorten(one_line(text).replace("`", "'").replace("|", "¦"), _LONGEST_CODE)
    return f"`{short or '(empty)'}`"


def fenced(text: str, language: str = "text") -> str:
    """Return the text as a fenced block; the fence is longer than any in the text."""
    fence = "`" * max([3, *(len(run) + 1 for run in _FENCE.findall(text))])
    return f"{fence}{language}\n{text}\n{fence}\n"
