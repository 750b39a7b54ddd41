"""Where the server is, and what lets a program in: named, of the environment, or of a `make run` on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import httpx

from tailrace.config import Settings
from tailrace.errors import ClientError, ServerUnreachable, shorten
from tailrace.stores.private import RUN_ADDRESS, RUN_SECRET

URL_VARIABLE, TOKEN_VARIABLE = "TAILRACE_URL", "TAILRACE_TOKEN"
# It may have a user and a password, for a server in front of the gateway that asks for them.
_URL = re.compile(r"https?://\S+")


class Place(NamedTuple):
    """A server's URL, and the bearer token that lets us in; "" if it needs none."""

    url: str
    token: str


def places(url: str | None, token: str | None, environ: Mapping[str, str] | None = None) -> list[Place]:
    """Where to ask, the likeliest first: at `url`, else at `TAILRACE_URL`, else at the `make run` of this folder.

    A token is sent to the URL that it comes with, and to no other.

    Raises:
        ServerUnreachable: no server is named and none runs here.
        ClientError: the URL is none, or the token cannot be one.
    """
    environ = os.environ if environ is None else environ
    named = url or environ.get(URL_VARIABLE, "")
    here = _running_here(environ)
    if not named:
        if here:
            return here
        raise ServerUnreachable(
            f"No server is named, and no `make run` of this folder or one above it runs. Set {URL_VARIABLE} (and "
            f"{TOKEN_VARIABLE}), name a URL, or start one with `make run`."
        )
    if not _is_url(named):
        raise ClientError(f"The server's URL is {shorten(named)!r}, but must be like https://tailrace.example.")
    own = environ.get(TOKEN_VARIABLE, "") if token is None else token
    if own and (not own.isprintable() or own != own.strip()):
        raise ClientError(
            f"The token for {shorten(named)!r}, an argument or {TOKEN_VARIABLE}, has a space or a line end around it, "
            "or a control character in it. It must be the token alone, so it was not sent."
        )
    known = next((each.token for each in here if _origin(each.url) == _origin(named)), "")
    return [Place(named.rstrip("/"), own or known)]


def _running_here(environ: Mapping[str, str]) -> list[Place]:
    """Each `make run` that uses the data folder here or in a folder above; the newest first. Some may have been killed.

    Only files of this user count: another's would have us send what we have to a server of theirs.
    """
    if named := environ.get("TAILRACE_DATA_DIR"):
        folders = [Path(named)]
    else:
        here = Path.cwd()
        folders = [each / Settings.data_dir for each in (here, *here.parents)]
    for folder in folders:
        addresses, secret = _own(folder / RUN_ADDRESS), _own(folder / RUN_SECRET)
        if addresses:
            return [Place(url, secret) for url in reversed(addresses.splitlines()) if _is_url(url)]
    return []


def _own(path: Path) -> str:
    """The file's text; "" if there is no such file of this user."""
    try:
        return path.read_text() if path.stat().st_uid == os.getuid() else ""
    except OSError:
        return ""


def _is_url(text: str) -> bool:
    try:
        return _URL.fullmatch(text) is not None and bool(httpx.URL(text).host)
    except (httpx.InvalidURL, UnicodeError):  # The second is of a name with `xn--`.
        return False


def _origin(url: str) -> tuple[str, str, int | None]:
    parsed = httpx.URL(url)
    host = "127.0.0.1" if parsed.host == "localhost" else parsed.host
    return parsed.scheme, host, parsed.port
