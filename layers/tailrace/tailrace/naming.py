"""What an agent may be called, and what is made of its name where a name has to be plain: files and paths.

Events, the log and TAILRACE_DISPATCH have the name as it is.
"""

from __future__ import annotations

import hashlib
import re

from tailrace.errors import ConfigError

_LONGEST = 64
# They mean something where the name is used: in paths, and in TAILRACE_DISPATCH.
_RESERVED = frozenset("/\\,=")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_agent_name(name: str) -> None:
    """Raises ConfigError when an agent cannot be called `name`."""
    fits = 0 < len(name) <= _LONGEST and name.isprintable() and name == name.strip()
    if not fits or _RESERVED & set(name):
        right = f"1 to {_LONGEST} printable characters without / \\ , = and without blanks at its ends"
        raise ConfigError("The agent's name (AgentCard.name)", name, right)


def plain_name(name: str) -> str:
    """The name for a file or a path: itself if it is plain, else what is plain of it and a part of its hash.

    Two names never have the same one: `~` is in no plain name.
    """
    if len(name) <= _LONGEST and _PLAIN.fullmatch(name):
        return name
    words = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:_LONGEST] or "agent"
    return f"{words}~{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"
