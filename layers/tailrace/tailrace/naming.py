"""Names: which an agent may have, how they are written in file names and URL paths, and how a node's is shown.

Events, the log and TAILRACE_DISPATCH contain the name as it is.
"""

from __future__ import annotations

import hashlib
import re

from tailrace.errors import ConfigError

_MAX_LENGTH = 64
# These have a meaning in paths and in TAILRACE_DISPATCH.
_RESERVED = frozenset("/\\,=")
# LangGraph's names of a node's error handler, and of the one for all nodes.
_ERROR_HANDLER, _DEFAULT_HANDLER = "__error_handler__", "__default_error_handler__"
_DRIVE = re.compile(r"[A-Za-z]:")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_agent_name(name: str) -> None:
    """Check that an agent may have this name.

    Raises:
        ConfigError: it is empty, too long, or contains a reserved or unprintable character.
    """
    fits = 0 < len(name) <= _MAX_LENGTH and name.isprintable() and name == name.strip()
    if not fits or _RESERVED & set(name):
        right = f"1 to {_MAX_LENGTH} printable characters without / \\ , = and without blanks at its ends"
        raise ConfigError("The agent's name (AgentCard.name)", name, right)


def is_error_handler(node: str) -> bool:
    """Whether LangGraph has made the node of an error handler."""
    return node.startswith((_ERROR_HANDLER, _DEFAULT_HANDLER))


def shown_name(node: str) -> str:
    """The name of a node for people. The page's is in frontend/steps.js."""
    if node.startswith(_DEFAULT_HANDLER):
        return "error handler"
    return f"error handler of {node.removeprefix(_ERROR_HANDLER)}" if node.startswith(_ERROR_HANDLER) else node


def plain_path(name: str) -> str:
    """A file's name, as a stranger gives it, without what leads out of a folder: a root, a drive, `.` and `..`.

    It may still have folders, which tell files of the same name apart. It is empty if nothing is left.
    """
    parts = [part for part in re.split(r"[/\\]", name.replace("\0", "")) if part.strip(". ")]
    return "/".join(part for part in parts if not _DRIVE.fullmatch(part))


def plain_name(name: str) -> str:
    """The name as a file name or path segment: unchanged if it is plain, else its plain characters, `~` and a hash.

    Two names never become equal, because a plain name contains no `~`.
    """
    if len(name) <= _MAX_LENGTH and _PLAIN.fullmatch(name):
        return name
    words = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:_MAX_LENGTH] or "agent"
    return f"{words}~{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"
