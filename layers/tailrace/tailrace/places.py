"""Where agents are asked to begin or continue a task, as `TAILRACE_DISPATCH` says."""

from __future__ import annotations

import re

from tailrace.errors import ConfigError

# A URL without a user or a password: an agent is asked without them, and its URL is in events and in errors.
URL = re.compile(r"https?://(\[[^\s/?#@\]]+\]|[^\s/?#@:\[\]]+)(:\d*)?([/?#]\S*)?")
# Up to the last "@": a password may have a "/" in it, though it should not.
_USER = re.compile(r"(?<=://)\S*@")
# The name or the ARN of a Lambda function, with or without its alias.
_FUNCTION = re.compile(r"[\w:$-]+", re.ASCII)


def without_user(text: str) -> str:
    """The text with "…" in place of the users and passwords in its URLs."""
    return _USER.sub("…@", text)


def places_in(text: str) -> dict[str, str]:
    """The places in the setting, by agent.

    Raises:
        ConfigError: one of them is not `agent=place`, or its place is neither a URL nor a function's name.
    """
    places: dict[str, str] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        agent, _, place = (part.strip() for part in pair.partition("="))
        if not agent or not (URL.fullmatch(place) or _FUNCTION.fullmatch(place)):
            right = "agent=place, where the place is a URL like https://agent.example/a2a, or a Lambda function's name"
            raise ConfigError("TAILRACE_DISPATCH", without_user(pair), right)
        places[agent] = place
    return places
