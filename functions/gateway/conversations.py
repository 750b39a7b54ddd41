"""The caller's conversations: a list with a search, one conversation with its tasks, its title, and its deletion.

A conversation is a context with one agent. Its record is made when its first task begins, as `gateway.contexts` and
`tailrace.log.conversations` say.
"""

from __future__ import annotations

import asyncio
import unicodedata
from typing import Annotated, Any, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.api_route import PAGE, ApiRoute, Operation, Parameter
from gateway.callers import Callers
from gateway.deletion import Deletion
from gateway.problems import NO_STORE, Problem
from gateway.requests import page_size_in, read_json
from tailrace.a2a.identity import conversation_id_of
from tailrace.a2a.task import Task, summary
from tailrace.config import Settings
from tailrace.errors import RequestError, TaskUnknown, shorten
from tailrace.events import State, encode, timestamp
from tailrace.log import EventLog, Head
from tailrace.log.base import check_token
from tailrace.log.conversations import Conversation

# What one request reads at most: so many pages of the owner's conversations, or of the owner's tasks.
_MAX_PAGES = 5
_RECORDS_PER_PAGE, _HEADS_PER_PAGE = 100, 1000
_MAX_TITLE = 200
# Control characters, surrogates, and separators of lines and paragraphs: a title is one line of text.
_NOT_IN_TITLES = ("Cc", "Cs", "Zl", "Zp")
_EXAMPLE = '{"title": "Checkout errors"}'


class TitleBody(msgspec.Struct, forbid_unknown_fields=True):
    title: Annotated[str, msgspec.Meta(extra_json_schema={"minLength": 1, "maxLength": _MAX_TITLE})]

    def __post_init__(self) -> None:
        bad = next((char for char in self.title if unicodedata.category(char) in _NOT_IN_TITLES), None)
        if bad is not None:
            raise ValueError(f"Expected `title` as one line without control characters, got one with U+{ord(bad):04X}")
        visible = any(char.isprintable() and not char.isspace() for char in self.title)
        if len(self.title) > _MAX_TITLE or not visible:
            got = len(self.title) if visible else f"{len(self.title)} of which none can be seen"
            raise ValueError(f"Expected `title` with 1 to {_MAX_TITLE} characters that are not only spaces, got {got}")


class ConversationView(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A conversation as JSON. `task` is its latest task, and `state` that task's; None if the task has expired."""

    context_id: str
    agent: str
    title: str
    task: str
    state: State | None = None
    created: str
    updated: str


class ConversationWithTasks(ConversationView, kw_only=True):
    tasks: list[Task]
    next_page_token: str = msgspec.field(name="nextPageToken")


class ConversationPage(msgspec.Struct, rename="camel"):
    """A page of the caller's conversations, latest first. It may have fewer than were asked for, even none, and the
    last page has the token "".
    """

    conversations: list[ConversationView]
    next_page_token: str


class Conversing:
    """The routes of conversations."""

    def __init__(self, settings: Settings, log: EventLog, callers: Callers, deletion: Deletion) -> None:
        self._settings = settings
        self._log = log
        self._callers = callers
        self._deletion = deletion

    @property
    def routes(self) -> list[BaseRoute]:
        agent = Parameter("agent", "The name of its agent; the default agent's without it.")
        search = Operation(
            *(self.search, "List or search your conversations, latest first."),
            answers=ConversationPage,
            parameters=(
                Parameter("q", "A part of the title, in any case."),
                Parameter("agent", "The name of its agent."),
                Parameter("state", "The state of its latest task; several match any of them.", list[State]),
                *PAGE,
            ),
        )
        get = Operation(
            *(self.get, "Get a conversation with its tasks."),
            answers=ConversationWithTasks,
            parameters=(agent, *PAGE),
        )
        rename = Operation(
            *(self.rename, "Change a conversation's title.", TitleBody, ConversationView), parameters=(agent,)
        )
        delete = Operation(
            *(self.delete, "Delete a conversation, and all that belongs to it.", None, None, 204, (agent,)),
            also={409: "A task of it is not finished, or it has too many tasks."},
        )
        return [
            ApiRoute("/api/conversations", GET=search),
            ApiRoute("/api/conversations/{context_id:path}", GET=get, PATCH=rename, DELETE=delete),
        ]

    async def search(self, request: Request) -> Response:
        """GET /api/conversations"""
        owner, size, query = (await self._callers.owner(request)).id, page_size_in(request), request.query_params
        words, agent, states = query.get("q", "").casefold(), query.get("agent"), _states_in(request)
        matches: list[ConversationView] = []
        token = check_token(query.get("pageToken", ""))
        for _ in range(_MAX_PAGES):
            page = await self._log.conversations.list(owner, limit=_RECORDS_PER_PAGE, token=token)
            records = [
                record
                for record in page.conversations
                if words in record.title.casefold() and agent in (None, record.agent) and _is_context(record)
            ]
            while records and len(matches) < size:
                # Without a filter by state, no more heads are read than are shown.
                batch, records = records[: size - len(matches)], records[size - len(matches) :]
                views = await asyncio.gather(*(self._view_of(record) for record in batch))
                matches += [each for each in views if not states or each.state in states]
                token = batch[-1].place
            if len(matches) == size and (records or page.next_token):
                break
            token = page.next_token
            if not token:
                break
        return _json(ConversationPage(matches, token))

    async def get(self, request: Request) -> Response:
        """GET /api/conversations/{contextId}"""
        record, size = await self._owned(request), page_size_in(request)
        tasks, token = await tasks_of(self._log, record, size, check_token(request.query_params.get("pageToken", "")))
        view = msgspec.structs.asdict(await self._view_of(record))
        return _json(ConversationWithTasks(**view, tasks=[summary(head) for head in tasks], next_page_token=token))

    async def rename(self, request: Request) -> Response:
        """PATCH /api/conversations/{contextId}"""
        record = await self._owned(request)
        body = await read_json(request, self._settings.max_request_bytes, TitleBody, _EXAMPLE)
        renamed = await self._log.conversations.rename(record.id, body.title)
        if renamed is None:
            raise _unknown(record.context_id, record.agent)
        return _json(await self._view_of(renamed))

    async def delete(self, request: Request) -> Response:
        """DELETE /api/conversations/{contextId}"""
        await self._deletion.delete(await self._owned(request, deleting=True))
        return Response(status_code=204, headers=NO_STORE)

    async def _owned(self, request: Request, *, deleting: bool = False) -> Conversation:
        """Return the record of the caller's conversation. With `deleting` it may be one that is being deleted.

        Raises:
            Problem: 404, there is no such conversation. The owner is part of its id, so nobody else's can be named.
        """
        owner = (await self._callers.owner(request)).id
        context_id = request.path_params["context_id"]
        agent = request.query_params.get("agent") or self._settings.orchestrator
        record = await self._log.conversations.get(conversation_id_of(owner, agent, context_id))
        if record is None or (record.deleting is not None and not deleting):
            raise _unknown(context_id, agent)
        return record

    async def _view_of(self, record: Conversation) -> ConversationView:
        try:
            state: State | None = (await self._log.head(record.task)).state
        except TaskUnknown:
            state = None
        return ConversationView(
            context_id=record.context_id,
            agent=record.agent,
            title=record.title,
            task=record.task,
            state=state,
            created=timestamp(record.created),
            updated=timestamp(record.updated),
        )


async def tasks_of(log: EventLog, record: Conversation, size: int, token: str = "") -> tuple[list[Head], str]:
    """Up to `size` tasks of the conversation, newest first, and the token of the next page ("" on the last)."""
    tasks: list[Head] = []
    for _ in range(_MAX_PAGES):
        page = await log.list(record.owner, limit=_HEADS_PER_PAGE, token=token)
        for head in page.heads:
            if (head.agent, head.context_id) == (record.agent, record.context_id):
                if len(tasks) == size:
                    return tasks, tasks[-1].place
                tasks.append(head)
        token = page.next_token
        if not token:
            break
    return tasks, token


def _is_context(record: Conversation) -> bool:
    """Whether the record is that of its context. That of a thread which the agent's author names is not."""
    return record.id == conversation_id_of(record.owner, record.agent, record.context_id)


def _states_in(request: Request) -> list[str]:
    """Return each `state` in the query.

    Raises:
        RequestError: one is no state of a task.
    """
    states = request.query_params.getlist("state")
    for state in states:
        if state not in get_args(State):
            raise RequestError(f"state has value {shorten(state)!r}, but must be one of {', '.join(get_args(State))}.")
    return states


def _unknown(context_id: str, agent: str) -> Problem:
    return Problem(404, f"There is no conversation {shorten(context_id)!r} with the agent {shorten(agent)!r}.")


def _json(value: Any) -> Response:
    return Response(encode(value), media_type="application/json", headers=NO_STORE)
