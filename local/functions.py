"""The functions that run on one machine, where they listen, and what each has to know of the others."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.stores.private import private_folder, write_private

FUNCTIONS = Path(__file__).parent.parent / "functions"
# These have a place of their own; every other folder with a `handler.py` is an agent the orchestrator may ask.
_NAMED = ("gateway", "orchestrator", "sweeper")
# Part of an import's path, and of TAILRACE_DISPATCH.
_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# Which port each agent had.
_PORTS = "agent-ports.json"
# How many ports after the wanted one are tried.
_TRIES = 50


@dataclass
class Function:
    """A function and the loopback socket it is served on; None for one that nobody calls."""

    name: str
    listener: socket.socket | None

    @property
    def url(self) -> str:
        """Where it is called; empty for one that nobody calls."""
        if self.listener is None:
            return ""
        host, port = self.listener.getsockname()
        return f"http://{host}:{port}/"

    @property
    def descriptors(self) -> tuple[int, ...]:
        return () if self.listener is None else (self.listener.fileno(),)

    @property
    def arguments(self) -> tuple[str, ...]:
        """What runs it, as arguments of Python."""
        if self.listener is None:
            return "-m", f"local.{self.name}"
        return "-m", "local.serve", self.name, "--fd", str(self.listener.fileno())


def listen(port: int, *, tries: int = _TRIES) -> socket.socket:
    """A listening loopback socket on `port`, or on the next free one when that is taken; 0 is any.

    Raises:
        OSError: none of the ports is free.
    """
    for candidate in range(port, port + tries) if port else (0,):
        # Named, because asyncio turns Nagle's algorithm off only where it sees that it is TCP.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
            listener.listen(2048)
        except OSError:
            listener.close()
            continue
        return listener
    raise OSError(f"no port from {port} to {port + tries - 1} is free on 127.0.0.1")


def _listen_again(port: int) -> socket.socket:
    try:
        return listen(port, tries=1)
    except (OSError, OverflowError):
        return listen(0)


def specialists() -> list[str]:
    """The names of the agents the orchestrator may ask: a folder under functions/ is all it takes, if not a hidden one.

    Raises:
        ConfigError: a folder has a name that no module can have.
    """
    folders = (handler.parent.name for handler in FUNCTIONS.glob("*/handler.py"))
    names = sorted(name for name in folders if name not in _NAMED and not name.startswith("."))
    for name in names:
        if not _MODULE.fullmatch(name):
            raise ConfigError(
                "A folder in functions/", name, "letters, digits, _ and -, beginning with a letter or a digit"
            )
    return names


def strays() -> list[str]:
    """Folders of code under functions/ that are neither functions nor packages which functions import."""
    folders = {code.parent.name for code in FUNCTIONS.glob("*/*.py")}
    packages = {code.parent.name for code in FUNCTIONS.glob("*/__init__.py")}
    return sorted(folders.difference(specialists(), packages, _NAMED))


def all_functions(port: int, folder: Path) -> list[Function]:
    """The gateway on `port` or after, every agent on a port of its own, and the sweeper.

    An agent gets the port that it had when the data `folder` was used last, if that is free: a run that goes on asks
    its specialists where it has asked them before.

    Raises:
        OSError: there is no free port, or the folder cannot be written to.
    """
    path = private_folder(folder) / _PORTS
    try:
        ports = msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (OSError, msgspec.DecodeError):
        ports = {}
    agents = [Function(name, _listen_again(ports.get(name, 0))) for name in (*specialists(), "orchestrator")]
    had = {each.name: each.listener.getsockname()[1] for each in agents if each.listener is not None}
    write_private(path, msgspec.json.encode(had))
    return [*agents, Function("sweeper", None), Function("gateway", listen(port))]


def environment(functions: list[Function], run_secret: str) -> dict[str, str]:
    """What tells each function where the others are, and the secret they share. What the user has set wins.

    Our own agents stay known as our own, also when the user has named other specialists.
    """
    urls = {function.name: function.url for function in functions}
    agents = {name: urls[name] for name in (*specialists(), "orchestrator")}
    settings = Settings.load()
    if settings.orchestrator not in agents and "TAILRACE_ORCHESTRATOR_URL" not in os.environ:
        right = f"one of {', '.join(agents)}, unless TAILRACE_ORCHESTRATOR_URL is set"
        raise ConfigError("TAILRACE_ORCHESTRATOR", settings.orchestrator, right)
    return {
        "TAILRACE_ORCHESTRATOR_URL": agents.get(settings.orchestrator, ""),
        "TAILRACE_SPECIALIST_URLS": ",".join(agents[name] for name in specialists()),
        "TAILRACE_DISPATCH": ",".join(f"{name}={url}" for name, url in agents.items()),
        # For an agent that has brought a checkpointer of its own; Tailrace's are strict by themselves.
        "LANGGRAPH_STRICT_MSGPACK": "true",
        **os.environ,
        "TAILRACE_RUN_SECRET": run_secret,
        "TAILRACE_AGENT_URLS": ",".join([*agents.values(), *settings.agents]),
    }
