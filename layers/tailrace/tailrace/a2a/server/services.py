"""What an agent gives its A2A server: its tasks and its webhooks. The server knows no more of an agent than this."""

from __future__ import annotations

from typing import Protocol

import msgspec

from tailrace.a2a.types import Message, PushConfig, Version
from tailrace.log import EventLog, Head
from tailrace.stream.broadcast import Feeds


class TaskService(Protocol):
    """The tasks of one agent. Any method may raise `LogError`."""

    @property
    def log(self) -> EventLog: ...

    @property
    def feeds(self) -> Feeds: ...

    async def owned(self, task_id: str, owner: str) -> Head:
        """The head of the owner's task.

        Raises:
            RpcError: -32001, for an unknown task, another agent's and somebody else's alike.
        """

    async def send(self, message: Message, owner: str) -> Head:
        """Take a message: begin a task, or answer the question of one.

        Raises:
            RequestError, RpcError: nothing was done.
        """

    async def cancel(self, task_id: str, owner: str) -> None:
        """Cancel a task, wherever it runs.

        Raises:
            RpcError: -32001 or -32002.
        """

    async def ensure_running(self, head: Head) -> None:
        """Have the task run if nobody runs it. Never raises."""


class PushService(Protocol):
    """The push notification configs of one agent's tasks. Any method but `ensure_delivery` may raise `LogError`."""

    def check(self, config: PushConfig) -> None:
        """Raises `RequestError` for a config that may not be made."""

    async def create(self, config: PushConfig, task_id: str, *, since: int, version: Version) -> PushConfig:
        """Tell the config's URL of what comes after the seq `since`; the config as it is kept.

        Raises:
            RequestError: nothing was made.
        """

    async def get(self, task_id: str, config_id: str) -> PushConfig | None: ...

    async def list(self, task_id: str) -> list[PushConfig]: ...

    async def delete(self, task_id: str, config_id: str) -> None: ...

    def ensure_delivery(self, task_id: str) -> None:
        """Have the task's notifications delivered if nobody delivers them. Does not wait, and never raises."""


class Serving(msgspec.Struct, frozen=True):
    """What an agent serves from, opened at its first request."""

    tasks: TaskService
    push: PushService
