"""A client of a Tailrace gateway, of its agents, and of any A2A agent: `AsyncClient`, and `Client` without `await`.

A task's events come each once and in order, across cuts, restarts and stalled connections (docs/CLIENT.md). Each method
of `AsyncClient` has an example in its docstring; `tests/integration/test_client_examples.py` runs them.
"""

from tailrace.client.api import AsyncClient
from tailrace.client.blocking import Client
from tailrace.client.event import Event
from tailrace.client.task import Agent, Task
from tailrace.errors import ClientError, ServerRefused, ServerUnreachable

__all__ = ["Agent", "AsyncClient", "Client", "ClientError", "Event", "ServerRefused", "ServerUnreachable", "Task"]
