"""Text of agents for a terminal: what would command the terminal, or reorder the text, is shown as an escape."""

from __future__ import annotations

import re

# Control characters but tab and line feed (ESC, BEL, CR, the C1 range …), and those that change a text's direction.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


def safe(text: str) -> str:
    """The text without anything that a terminal would obey. A line end of CR and LF is one."""
    return _COMMANDS.sub(_escape, text.replace("\r\n", "\n").encode(errors="replace").decode())


def one_line(text: str, limit: int = 160) -> str:
    """The safe text as one line of at most `limit` characters."""
    line = " ".join(safe(text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
