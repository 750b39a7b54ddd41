"""What an agent provides to its A2A server: its tasks and its webhooks. The server knows nothing else of an agent."""

from __future__ import annotations

from typing import Protocol

import msgspec

from tailrace.a2a.types import PushConfig, UserMessage, Version
from tailrace.log import EventLog, Head
from tailrace.stream.broadcast import Feeds


class Sent(msgspec.Struct, frozen=True):
    """A task that has taken a message. `new` says whether the message has created it: then nobody else knows it yet."""

    task_id: str
    new: bool = False


class TaskService(Protocol):
    """The tasks of one agent. Any method may raise `LogError`."""

    @property
    def log(self) -> EventLog:
        """The log that holds the tasks."""

    @property
    def feeds(self) -> Feeds:
        """The feeds of this process, for readers of the tasks."""

    async def owned(self, task_id: str, owner: str) -> Head:
        """The head of the owner's task.

        Raises:
            RpcError: -32001, there is no such task, or it belongs to another agent or owner.
        """

    async def send(self, message: UserMessage, owner: str) -> Sent:
        """Take a message: begin a task, or reply to a task that waits.

        Raises:
            RequestError, RpcError: the message was refused, and nothing was done.
        """

    async def cancel(self, task_id: str, owner: str) -> None:
        """Cancel a task, in whatever process it runs.

        Raises:
            RpcError: -32001, as `owned` does; -32002, the task is finished.
        """

    async def delete_thread(self, context_id: str, owner: str) -> None:
        """Delete the checkpoints of the owner's conversation in the context, which is being deleted.

        Raises:
            RequestError: nobody deletes such a conversation.
        """

    async def visit(self, task_id: str, owner: str, *, new: bool) -> Head:
        """The head of the owner's task, which is started if nobody runs it. That it cannot be started is no error.

        `new` says that the task has probably just been created. Then it is claimed without being read before.

        Raises: as `owned`.
        """


class PushService(Protocol):
    """The push notification configs of one agent's tasks. Any method but `ensure_delivery` may raise `LogError`."""

    def check(self, config: PushConfig) -> None:
        """Refuse a config that may not be made.

        Raises:
            RequestError: says why.
        """

    async def create(self, config: PushConfig, task_id: str, *, since: int, version: Version) -> PushConfig:
        """Deliver what comes after the seq `since` to the config's URL; the config as it is stored.

        Raises:
            RequestError: nothing was made.
        """

    async def get(self, task_id: str, config_id: str) -> PushConfig | None:
        """The config with this id; None if there is none."""

    async def list(self, task_id: str) -> list[PushConfig]:
        """The task's configs, by id."""

    async def delete(self, task_id: str, config_id: str) -> None:
        """Delete the config with this id, if it exists."""

    def ensure_delivery(self, task_id: str) -> None:
        """Start the delivery of the task's notifications if nobody delivers them. Does not wait, and never raises."""


class Serving(msgspec.Struct, frozen=True):
    """What an agent serves from. It is opened at the first request."""

    tasks: TaskService
    push: PushService
