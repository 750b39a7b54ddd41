"""Our own agents on AWS: each has an SSM parameter below the path `TAILRACE_REGISTRY`, which template.yaml makes.

The parameter's name ends with the agent's name without what is no letter or digit; its value is JSON: `url`, by which
it is called, and `function`, by which it is dispatched to. Elsewhere, and for agents of others, settings say where an
agent is; they take precedence.

What was read counts for a minute. Then it is read again in a thread, while callers get what is known; so does who comes
while the registry cannot be read. Only the first reading is waited for, about 0.2 s, and an event loop never waits: its
tasks await `read_registry` first. A slow registry must not stop a process's streams and the renewal of its leases.

Source: "GetParametersByPath", AWS Systems Manager API Reference.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from functools import cache
from typing import Any

import msgspec

from tailrace.aws import on_sam_local
from tailrace.config import Settings
from tailrace.errors import AgentError, ConfigError

logger = logging.getLogger("tailrace.registry")

# How long what was read counts, and how soon it is read again after an error.
_LIFE_S, _RETRY_S = 60.0, 5.0
_CONNECT_S, _READ_S, _TRIES = 1.0, 2.0, 2


class Registered(msgspec.Struct, frozen=True):
    """Where an agent is: the URL that it is called by, and the function that tasks are dispatched to."""

    url: str
    function: str

    def __post_init__(self) -> None:
        if not self.url.startswith("https://") and not on_sam_local():
            raise ValueError(f"Expected `url` with https, got {self.url!r}")


class Registry:
    """The agents below a path of SSM parameters."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, Registered] | None = None
        self._due = 0.0
        self._reading = threading.Lock()

    async def read(self) -> None:
        """Wait until the registry was read once, or could not be."""
        if self._known is None:
            await asyncio.to_thread(self.agents)

    def agents(self) -> dict[str, Registered]:
        """The agents by their plain names; empty if the registry was not read yet."""
        waits = self._known is None and not _in_event_loop()
        if time.monotonic() >= self._due and self._reading.acquire(blocking=waits):
            if not waits:
                threading.Thread(target=self._read_and_release, name="registry", daemon=True).start()
            elif time.monotonic() >= self._due:  # nobody has read it while this thread waited
                self._read_and_release()
            else:
                self._reading.release()
        return self._known or {}

    def _read_and_release(self) -> None:
        try:
            self._known, self._due = self._read(), time.monotonic() + _LIFE_S
        except Exception as error:  # botocore makes its errors at run time
            self._due = time.monotonic() + _RETRY_S
            logger.warning("the registry %s could not be read: %s", self._path, error)
        finally:
            self._reading.release()

    def _read(self) -> dict[str, Registered]:
        agents: dict[str, Registered] = {}
        for page in ssm().get_paginator("get_parameters_by_path").paginate(Path=self._path):
            for parameter in page["Parameters"]:
                name = parameter["Name"].rpartition("/")[2]
                try:
                    agents[plain(name)] = msgspec.json.decode(parameter["Value"], type=Registered)
                except msgspec.DecodeError as error:
                    logger.warning("the registry's parameter %s is no agent: %s", parameter["Name"], error)
        return agents


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def plain(name: str) -> str:
    """The name of an agent as the registry compares it: its letters and digits, in lower case."""
    return re.sub("[^0-9a-z]", "", name.lower())


@cache
def registry_at(path: str) -> Registry:
    """The process's registry at `path`."""
    return Registry(path)


@cache
def ssm() -> Any:
    """The process's client of SSM."""
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": _TRIES}
    return boto3.client("ssm", config=Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries=retries))


def check_registered(agent: str, settings: Settings) -> None:
    """Check that the agent with this name is found by it, if this process's function is registered.

    Raises:
        ConfigError: it is registered under another name.
    """
    if settings.registered_as and plain(agent) != plain(settings.registered_as):
        folder = f"{settings.registered_as} in template.yaml, and have the same letters and digits"
        right = f"like its folder's name, {folder}: tasks are dispatched by it"
        raise ConfigError("The agent's name (AgentCard.name)", agent, right)


async def read_registry(settings: Settings) -> None:
    """Wait until the registry was read once, or could not be; not at all without one."""
    if settings.registry:
        await registry_at(settings.registry).read()


def registered(settings: Settings) -> dict[str, Registered]:
    """The registered agents by their plain names; none without a registry."""
    return registry_at(settings.registry).agents() if settings.registry else {}


def default_agent_url(settings: Settings) -> str:
    """The URL of the agent that gets the tasks for which no agent is named.

    Raises:
        AgentError: it is not registered, or the registry could not be read.
    """
    if not settings.registry or settings.has_orchestrator_url:
        return settings.orchestrator_url
    registered_agent = registered(settings).get(plain(settings.orchestrator))
    if registered_agent is None:
        raise AgentError(
            f"The agent {settings.orchestrator!r} is not in the registry {settings.registry}, or this cannot be read; "
            "the function's log says why."
        )
    return registered_agent.url


def specialist_urls(settings: Settings) -> list[str]:
    """The URLs of the agents that the default agent may ask: those in the settings, and all others of the registry."""
    default = plain(settings.orchestrator)
    others = (agent.url for name, agent in sorted(registered(settings).items()) if name != default)
    return list(dict.fromkeys([*settings.specialists, *others]))


def own_agent_urls(settings: Settings) -> list[str]:
    """The URLs of our own agents: those in the settings, and those of the registry."""
    known = (agent.url for _, agent in sorted(registered(settings).items()))
    return list(dict.fromkeys([*settings.agents, *known]))


def all_agent_urls(settings: Settings) -> list[str]:
    """The URLs of all agents that an agent may ask by name, each once: the specialists and our own."""
    return list(dict.fromkeys([*specialist_urls(settings), *own_agent_urls(settings)]))


def dispatch_place(agent: str, settings: Settings) -> str:
    """Where the agent with this name is dispatched to: a URL, or a Lambda function; "" if it is not known."""
    if place := settings.dispatch_places.get(agent):
        return place
    registered_agent = registered(settings).get(plain(agent))
    return registered_agent.function if registered_agent is not None else ""
