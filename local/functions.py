"""The functions of this machine: their names, their addresses, and the settings that tell each about the others."""

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
_ORCHESTRATOR = "orchestrator"
# Every other folder with a `handler.py` is an agent that the orchestrator may ask.
_NAMED = ("gateway", _ORCHESTRATOR, "sweeper")
# A folder's name is part of an import and of TAILRACE_DISPATCH.
_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# Has the port that each agent had last.
_PORTS = "agent-ports.json"
# How many ports after the wanted one are tried.
_TRIES = 50


@dataclass
class Function:
    """A function and its listening loopback socket; None if nothing calls it."""

    name: str
    listener: socket.socket | None

    @property
    def url(self) -> str:
        """The function's address, "" if nothing calls it."""
        if self.listener is None:
            return ""
        host, port = self.listener.getsockname()
        return f"http://{host}:{port}/"

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The file descriptors that its process inherits."""
        return () if self.listener is None else (self.listener.fileno(),)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of Python that run it."""
        if self.listener is None:
            return "-m", f"local.{self.name}"
        return "-m", "local.serve", self.name, "--fd", str(self.listener.fileno())


def listen(port: int, *, tries: int = _TRIES) -> socket.socket:
    """Return a listening loopback socket on `port` or the next free one; 0 is any free port.

    Raises:
        OSError: none of the ports is free.
    """
    for candidate in range(port, port + tries) if port else (0,):
        # TCP is named because asyncio turns off Nagle's algorithm only if it sees that it is TCP.
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
    """Return the names of the agents that the orchestrator may ask: all other folders of functions/ with a handler.py.

    Raises:
        ConfigError: a folder's name cannot be the name of a module.
    """
    folders = (handler.parent.name for handler in FUNCTIONS.glob("*/handler.py"))
    names = sorted(name for name in folders if name not in _NAMED and not name.startswith("."))
    for name in names:
        if not _MODULE.fullmatch(name):
            raise ConfigError(
                "A folder in functions/", name, "letters, digits, _ and -, starting with a letter or a digit"
            )
    return names


def agents() -> list[str]:
    """Return the names of all agents: the specialists, and the orchestrator if there is one.

    Raises:
        ConfigError: as `specialists`.
    """
    here = (FUNCTIONS / _ORCHESTRATOR / "handler.py").exists()
    return [*specialists(), *([_ORCHESTRATOR] if here else [])]


def strays() -> list[str]:
    """Return the folders of code under functions/ that are neither functions nor packages that functions import."""
    folders = {code.parent.name for code in FUNCTIONS.glob("*/*.py")}
    packages = {code.parent.name for code in FUNCTIONS.glob("*/__init__.py")}
    return sorted(folders.difference(specialists(), packages, _NAMED))


def all_functions(port: int, folder: Path) -> list[Function]:
    """Return all functions: the agents, the sweeper, and the gateway on `port` or the next free one.

    An agent gets the port that it had when the data `folder` was used last, if it is free, so that a run that goes on
    finds its specialists at their old addresses.

    Raises:
        OSError: no port is free, or the folder cannot be written to.
    """
    path = private_folder(folder) / _PORTS
    try:
        ports = msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (OSError, msgspec.DecodeError):
        ports = {}
    called = [Function(name, _listen_again(ports.get(name, 0))) for name in agents()]
    new_ports = {each.name: each.listener.getsockname()[1] for each in called if each.listener is not None}
    write_private(path, msgspec.json.encode(new_ports))
    return [*called, Function("sweeper", None), Function("gateway", listen(port))]


def environment(functions: list[Function], run_secret: str) -> dict[str, str]:
    """Return the environment of all functions: the others' addresses and the shared secret.

    What the user has set takes precedence. Our own agents stay trusted if the user names other specialists.
    """
    urls = {function.name: function.url for function in functions}
    places = {name: urls[name] for name in agents()}
    settings = Settings.load()
    if settings.orchestrator not in places and "TAILRACE_ORCHESTRATOR_URL" not in os.environ:
        right = f"one of {', '.join(places)}, unless TAILRACE_ORCHESTRATOR_URL is set"
        raise ConfigError("TAILRACE_ORCHESTRATOR", settings.orchestrator, right)
    return {
        "TAILRACE_ORCHESTRATOR_URL": places.get(settings.orchestrator, ""),
        "TAILRACE_SPECIALIST_URLS": ",".join(places[name] for name in specialists()),
        "TAILRACE_DISPATCH": ",".join(f"{name}={url}" for name, url in places.items()),
        # For agents with their own checkpointer; Tailrace's is always strict.
        "LANGGRAPH_STRICT_MSGPACK": "true",
        **os.environ,
        "TAILRACE_RUN_SECRET": run_secret,
        "TAILRACE_AGENT_URLS": ",".join([*places.values(), *settings.agents]),
    }
