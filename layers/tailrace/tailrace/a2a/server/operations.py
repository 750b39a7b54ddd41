"""A2A's operations, for both bindings and both versions (specification, section 3.1).

A binding turns a request into a method's name and its params, as 1.0 has them, and writes the result.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from tailrace.a2a import errors
from tailrace.a2a.card import AgentCard, card_json
from tailrace.a2a.identity import task_id_of
from tailrace.a2a.server.listing import list_tasks
from tailrace.a2a.server.negotiation import check_output_modes, check_parts
from tailrace.a2a.server.open_streams import OpenStream, OpenStreams
from tailrace.a2a.server.services import Serving, TaskService
from tailrace.a2a.server.stream import Streamed, StreamedMessage, StreamedTask
from tailrace.a2a.task import Task, snapshot, summary
from tailrace.a2a.types import (
    ContextId,
    ListPushConfigs,
    ListTasks,
    PushConfig,
    PushConfigId,
    SendMessage,
    TaskId,
    UserMessage,
    Version,
    convert,
)
from tailrace.config import Settings
from tailrace.errors import RequestError, TaskUnknown, shorten
from tailrace.events import INTERRUPTED, TERMINAL, Message, Part
from tailrace.inputs.decode import request_of
from tailrace.inputs.request import Request
from tailrace.inputs.turns import in_turn
from tailrace.log import Head
from tailrace.stream.reader import end_at, is_end, wait_for_end
from tailrace.stream.task_stream import Timing

STREAMS = frozenset({"SendStreamingMessage", "SubscribeToTask"})

# An author's function that answers a message directly: with a text, or None to begin a task.
DirectAnswer = Callable[[Request], Awaitable[str | None]]
# An author's function from a caller's name to the card that this caller may see; None if there is none for it.
ExtendedCard = Callable[[str], AgentCard | None]


class Caller(msgspec.Struct, frozen=True):
    """Who calls, and how.

    `owner` is the id of the owner of the caller's tasks, `name` the caller's own name. `url` is the agent's URL as the
    caller knows it. `cursor` is where the caller's stream was cut. `strict` says whether params have JSON's types: in a
    query everything is text. `minimal` says that a task is answered as a list shows it.
    """

    owner: str
    name: str
    url: str
    cursor: int | None = None
    version: Version = "1.0"
    strict: bool = True
    minimal: bool = False


class Operations:
    """The methods of one agent. Each raises `RpcError`, or an error that `as_rpc_error` converts."""

    def __init__(
        self,
        card: AgentCard,
        settings: Settings,
        serving: Callable[[], Awaitable[Serving]],
        *,
        answer: DirectAnswer | None = None,
        extended_card: ExtendedCard | None = None,
    ) -> None:
        self._card = card
        self._settings = settings
        self._serving = serving
        self._answer = answer
        self._extended_card = extended_card
        self._streams = OpenStreams(settings.max_streams)
        self._methods: dict[str, Callable[[Any, Caller], Awaitable[Any]]] = {
            "SendMessage": self._send,
            "GetTask": self._get,
            "ListTasks": self._list,
            "CancelTask": self._cancel,
            "CreateTaskPushNotificationConfig": self._create_push,
            "GetTaskPushNotificationConfig": self._get_push,
            "ListTaskPushNotificationConfigs": self._list_push,
            "DeleteTaskPushNotificationConfig": self._delete_push,
            "DeleteThread": self._delete_thread,
            "GetExtendedAgentCard": self._get_extended_card,
        }

    async def call(self, method: str, params: Any, caller: Caller) -> Any:
        """The result of a method that answers once, as 1.0 JSON.

        Raises:
            TailraceError: the method is unknown, or refuses.
        """
        if method not in self._methods:
            raise errors.method_not_found(method)
        return await self._methods[method](params, caller)

    async def stream(self, method: str, params: Any, caller: Caller) -> OpenStream:
        """The stream of a streaming method, which counts as open from now on.

        Raises:
            TailraceError: the method refuses. It never does once the stream has begun.
        """
        head: Head | None = None
        if method == "SubscribeToTask":  # The task goes on, whether its stream is refused or not.
            head = await self._visit(convert(params, TaskId).id, caller)
        leave = self._streams.enter()
        try:
            return OpenStream(await self._streamed(params, caller, head), leave)
        except BaseException:
            leave()
            raise

    async def _streamed(self, params: Any, caller: Caller, head: Head | None) -> Streamed:
        """The stream of the head's task; without a head, that of the message in `params`."""
        serving, cursor = await self._serving(), caller.cursor
        tasks, past_input = serving.tasks, head is not None
        if head is not None:
            task_id = head.task_id
            if cursor is None:
                # The head changes a moment after the last event, so the event is read first.
                state = await end_at(tasks.log, task_id, await tasks.log.last(task_id)) or head.state
                if state in TERMINAL:
                    raise errors.unsupported_operation(
                        f"Task {task_id!r} is finished ({state}); GetTask has its result, and Last-Event-ID: 0 "
                        "replays its events."
                    )
        else:
            sent = convert(params, SendMessage)
            await self._check_cursor(sent.message, caller)
            answer = await self._take(sent, caller)
            if isinstance(answer, Message):
                return StreamedMessage(answer)
            task_id = answer
            if cursor is None and sent.message.task_id is None:
                cursor = 0  # a new task's first event is the task itself
        over = False
        if cursor is not None and (cursor > 1 or head is None):  # No task ends with its first event.
            over = is_end(await end_at(tasks.log, task_id, cursor), past_input=past_input)
        timing = Timing(self._settings.heartbeat_s, self._settings.rotate_s)
        return StreamedTask(tasks.log, tasks.feeds, task_id, cursor, timing, past_input, over)

    # Messages

    async def _send(self, params: Any, caller: Caller) -> Any:
        sent = convert(params, SendMessage)
        answer = await self._take(sent, caller)
        if isinstance(answer, Message):
            return {"message": answer}
        tasks, task_id = (await self._serving()).tasks, answer
        if waits := not sent.configuration.return_immediately:
            await wait_for_end(tasks.log, tasks.feeds, task_id)
        return {"task": await self._shown(task_id, caller, sent.configuration.history_length, ended=waits)}

    async def _check_cursor(self, message: UserMessage, caller: Caller) -> None:
        """Refuse a cursor past the last event of the message's task. A new task has no events.

        Raises:
            RequestError: the cursor is too large.
            RpcError: -32001, there is no such task.
        """
        if not caller.cursor:
            return
        tasks = (await self._serving()).tasks
        if message.task_id is not None:
            await tasks.owned(message.task_id, caller.owner)
        await end_at(tasks.log, message.task_id or self._new_task_id(message, caller), caller.cursor)

    def _new_task_id(self, message: UserMessage, caller: Caller) -> str:
        """The id of the task that the message begins, or began when it was sent before."""
        return task_id_of(caller.owner, self._card.name, message.message_id)

    async def _take(self, sent: SendMessage, caller: Caller) -> str | Message:
        """Take a message: the id of its task, or the agent's message if it answers directly."""
        serving, message = await self._serving(), sent.message
        tasks, config = serving.tasks, sent.configuration.task_push_notification_config
        check_parts(message, self._card)
        check_output_modes(sent.configuration.accepted_output_modes, self._card)
        if config is not None:
            if config.task_id:
                raise RequestError(
                    f"taskPushNotificationConfig.taskId has value {shorten(config.task_id)!r}, but must be empty: "
                    "the message names the task."
                )
            serving.push.check(config)
        direct_answer = await self._answer_directly(message, tasks, caller)
        if direct_answer is not None:
            return direct_answer
        since = 0
        if message.task_id is not None:
            await tasks.owned(message.task_id, caller.owner)
            since = await tasks.log.last(message.task_id)
        taken = await tasks.send(message, caller.owner)
        if config is not None:
            await serving.push.create(config, taken.task_id, since=since, version=caller.version)
        elif not taken.new:  # A new task has no webhook.
            serving.push.ensure_delivery(taken.task_id)
        return taken.task_id

    async def _answer_directly(self, message: UserMessage, tasks: TaskService, caller: Caller) -> Message | None:
        """The author's direct answer to a message that names no task; None to begin a task."""
        if self._answer is None or message.task_id is not None:
            return None
        try:
            await tasks.log.head(self._new_task_id(message, caller))
            return None  # the message was sent before, and began a task
        except TaskUnknown:
            pass
        request = await in_turn(partial(request_of, owner=caller.owner), [message.stored()])
        try:
            text = await self._answer(request)
        finally:
            request.close()
        if text is None:
            return None
        return Message(
            message_id=str(uuid.uuid4()),
            context_id=message.context_id or str(uuid.uuid4()),
            role="ROLE_AGENT",
            parts=[Part(text=text)],
        )

    # Tasks

    async def _get(self, params: Any, caller: Caller) -> Any:
        task = convert(params, TaskId, strict=caller.strict)
        head = await self._visit(task.id, caller)
        return await self._shown(task.id, caller, task.history_length, head)

    async def _list(self, params: Any, caller: Caller) -> Any:
        query, log = convert(params, ListTasks, strict=caller.strict), (await self._serving()).tasks.log
        return await list_tasks(log, caller.owner, self._card.name, query)

    async def _cancel(self, params: Any, caller: Caller) -> Any:
        serving, task_id = await self._serving(), convert(params, TaskId).id
        await serving.tasks.cancel(task_id, caller.owner)
        serving.push.ensure_delivery(task_id)
        return await self._shown(task_id, caller, ended=True)

    async def _shown(
        self,
        task_id: str,
        caller: Caller,
        history_length: int | None = None,
        head: Head | None = None,
        *,
        ended: bool = False,
    ) -> Task:
        """The task as its events add up to it, or as its head says if the caller prefers a minimal answer.

        If the task has `ended`, its head may show that a moment later than its events. Then these are read.
        """
        log = (await self._serving()).tasks.log
        if caller.minimal:
            head = head or await log.head(task_id)
            if not ended or head.state in TERMINAL or head.state in INTERRUPTED:
                return summary(head)
        return (await snapshot(log, task_id, history_length=history_length)).task

    async def _visit(self, task_id: str, caller: Caller) -> Head:
        """The head of the caller's task. A visit ensures that it runs, and that its notifications are delivered.

        Who has only the first event has probably just created the task.
        """
        serving = await self._serving()
        head = await serving.tasks.visit(task_id, caller.owner, new=caller.cursor == 1)
        serving.push.ensure_delivery(task_id)
        return head

    async def _delete_thread(self, params: Any, caller: Caller) -> Any:
        """A method of our own (docs/PROTOCOL.md, 5.11): only an agent can reach its graph's checkpoints."""
        await (await self._serving()).tasks.delete_thread(convert(params, ContextId).context_id, caller.owner)
        return {}

    # Push notifications

    async def _create_push(self, params: Any, caller: Caller) -> Any:
        serving, config = await self._serving(), convert(params, PushConfig)
        await serving.tasks.owned(config.task_id, caller.owner)
        since = await serving.tasks.log.last(config.task_id)
        return await serving.push.create(config, config.task_id, since=since, version=caller.version)

    async def _get_push(self, params: Any, caller: Caller) -> Any:
        serving, key = await self._serving(), convert(params, PushConfigId)
        await serving.tasks.owned(key.task_id, caller.owner)
        config = await serving.push.get(key.task_id, key.id)
        if config is None:
            raise errors.config_not_found(key.task_id, key.id)
        return config

    async def _list_push(self, params: Any, caller: Caller) -> Any:
        """All configs on one page: a task has only a few."""
        serving, query = await self._serving(), convert(params, ListPushConfigs, strict=caller.strict)
        await serving.tasks.owned(query.task_id, caller.owner)
        configs = await serving.push.list(query.task_id)
        return {"configs": configs, "nextPageToken": ""}

    async def _delete_push(self, params: Any, caller: Caller) -> Any:
        serving, key = await self._serving(), convert(params, PushConfigId)
        await serving.tasks.owned(key.task_id, caller.owner)
        await serving.push.delete(key.task_id, key.id)
        return {}

    # The card

    async def _get_extended_card(self, params: Any, caller: Caller) -> Any:
        if self._extended_card is None:
            if caller.version == "0.3":
                raise errors.no_extended_card()
            raise errors.unsupported_operation("This agent has no extended card.")
        card = self._extended_card(caller.name)
        if card is None:
            raise errors.no_extended_card()
        return card_json(card, caller.url, extended=True, v0_3=caller.version == "0.3")
