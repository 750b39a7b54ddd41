"""`delegate`: ask another agent from a node or a tool, and return its answer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from tailrace.a2a.client import AgentClient
from tailrace.a2a.conversation import LONGEST_PAUSE_S, PAUSE_S, Conversation
from tailrace.a2a.directory import names_in
from tailrace.a2a.discovery import DiscoveredAgent, interface_of
from tailrace.authoring import run_context
from tailrace.authoring.answer import Answer, DelegationFailed, answer_in, failure_of
from tailrace.authoring.delegated_parts import Parts, Sent, as_a2a, digest_of, listed
from tailrace.authoring.emit import current_step, emit, tried
from tailrace.authoring.forwarding import Forwarding
from tailrace.authoring.speaking import Speaking
from tailrace.errors import AgentError
from tailrace.events import DelegatedTask, Message
from tailrace.owner import owner_within

# How often an agent's card is asked for if the agent cannot be reached.
_TRIES_TO_FIND = 5


async def delegate(
    agent: str,
    parts: Parts,
    *,
    name: str = "",
    context_id: str | None = None,
    write_to: str = "",
) -> Answer:
    """Ask another agent, and wait for its answer. Its progress is shown below the current step while it works.

    If this process dies, the next attempt goes on with the same task of the other agent: a call is recognized by its
    node and its arguments. A task that does not end within `TAILRACE_SPECIALIST_S` is cancelled, and so is each
    unfinished one when the task of this run fails or is cancelled.

    Args:
        agent: the name of an agent in this bundle or in `TAILRACE_SPECIALIST_URLS`, as its card says it; or its URL.
        parts: what to send: a text, a file of `request().files`, a `tailrace.events.Part`, or any other JSON as data;
            or a list of them.
        name: how the agent is named in events and in the answer. By default it is the name in its card.
        context_id: a conversation of this task with the agent. Calls with the same one share the agent's thread. By
            default each call has a conversation of its own.
        write_to: a text artifact of this task into which the agent's text is written as it comes.

    Raises:
        DelegationFailed: there is no answer, or only a part, which the error has.
        NotJson, TooDeep: a part is data that cannot be JSON. The error names its path.
        LookupError: there is no current task.
        GraphDrained: this attempt must end. Let it pass: the next attempt goes on with the same call.

    Example:
        async def translate(state: MessagesState) -> None:
            answer = await delegate("translator", ["Translate this into French:", state["messages"][-1].text])
            write(answer.text)
    """
    call = _Call(agent, listed(parts), context_id)
    await call.prepare()
    async with call.agent(name) as (client, found):
        return await _ask(call, client, found, name or call.name_of(found), write_to)


class _Call:
    """One call of `delegate`: which run makes it, and by which ids later attempts find it again."""

    def __init__(self, agent: str, parts: list[Sent], context_id: str | None) -> None:
        from langgraph.config import get_config

        run = run_context.current.get()
        if run is None:
            raise LookupError("delegate() was called outside a task; it is for the nodes and tools of a graph.")
        self.run = run
        self.configurable = get_config()["configurable"]
        self.wanted = agent
        self.parts = parts
        self.context_id = context_id
        self.parent = current_step() or ""
        self.step = self.id = ""

    @property
    def me(self) -> str:
        """The name of the agent that asks."""
        return str(self.configurable.get("agent", ""))

    @property
    def before(self) -> DelegatedTask | None:
        """The task that an earlier attempt has at the agent."""
        return self.run.delegated.get(self.step)

    async def prepare(self) -> None:
        """Give the call its ids. They depend on the node's execution and on what is asked of whom."""
        content = await asyncio.to_thread(digest_of, self.parts)
        key = "\0".join([self.parent, str(tried()), self.wanted, self.context_id or "", content])
        same = self.run.calls[key]
        self.run.calls[key] += 1
        self.id = hashlib.sha256(f"{key}\0{same}".encode()).hexdigest()[:16]
        self.step = f"{self.parent}-{self.id}"

    @asynccontextmanager
    async def agent(self, name: str) -> AsyncIterator[tuple[AgentClient, DiscoveredAgent | None]]:
        """The agent's client and card. The card may be None if an earlier attempt has a task there."""
        owner = owner_within(self.configurable["owner"], self.configurable["task_id"])
        before, settings = self.before, self.run.settings
        found: DiscoveredAgent | None = None
        try:
            found = await self._find(tries=1 if before is not None else _TRIES_TO_FIND)
            url = interface_of(found, settings) if before is None else before.url
        except AgentError as error:
            if before is None:
                raise DelegationFailed(Answer(agent=name or self.wanted), str(error)) from None
            url = before.url
        yield AgentClient(self.run.http, url, owner=owner, settings=settings), found

    def name_of(self, found: DiscoveredAgent | None) -> str:
        """The agent's name in its card; if that is not known, what it was called by."""
        return found.card.name if found is not None else self.wanted

    async def _find(self, tries: int) -> DiscoveredAgent:
        """Raises: AgentError"""
        settings, directory = self.run.settings, self.run.directory
        if "://" in self.wanted:
            for number in range(1, tries + 1):
                try:
                    return await directory.at(self.wanted)
                except AgentError as error:
                    if error.malformed or number == tries:
                        raise
                await asyncio.sleep(min(PAUSE_S * 2**number, LONGEST_PAUSE_S))
        found = await directory.named(self.wanted, settings.all_agents)
        if found is None:
            known = names_in((await directory.all(settings.all_agents)).values())
            raise AgentError(
                "no agent of this bundle or of TAILRACE_SPECIALIST_URLS has this name; there are "
                f"{', '.join(map(repr, known)) or 'none'}"
            )
        return found


async def _ask(call: _Call, client: AgentClient, found: DiscoveredAgent | None, name: str, write_to: str) -> Answer:
    card = found.card if found is not None else None
    sent, notes = await asyncio.to_thread(as_a2a, call.parts, card)
    task_id = call.configurable["task_id"]
    message = Message(
        # All attempts of a run send the same message id, so a new one finds the task of an older one.
        message_id=f"{task_id}-{call.id}",
        role="ROLE_USER",
        parts=sent,
        context_id=call.context_id,
    )
    conversation = Conversation(
        client,
        message,
        call.before,
        streaming=card.capabilities.streaming if card is not None else None,
        limit_s=call.run.settings.specialist_s,
    )
    forwarding = Forwarding(name, call.step, me=call.me, trusted=client.own, since=conversation.since)
    speaking = await Speaking.begin(write_to, client, call.before) if write_to else None
    reason: str | None = None
    try:
        await _until_answered(call, conversation, forwarding, speaking)
    except AgentError as error:
        reason = str(error)
    reason = reason or failure_of(conversation.task)
    emit("tool_complete", step=call.step, parent=call.parent, name=f"ask {forwarding.agent}", error=reason)
    answer = answer_in(forwarding.agent, conversation.task, [*notes, *conversation.notes, *forwarding.notes])
    if reason is not None:
        raise DelegationFailed(answer, reason)
    if speaking is not None:
        speaking.settle(answer.text)
    return answer


async def _until_answered(
    call: _Call, conversation: Conversation, forwarding: Forwarding, speaking: Speaking | None
) -> None:
    """Forward what the agent does until it is done or its time is up.

    Raises:
        AgentError: there is no answer.
        GraphDrained: this attempt must end.
    """
    from langgraph.errors import GraphDrained

    working = asyncio.create_task(_forward_all(call, conversation, forwarding, speaking))
    drain = asyncio.create_task(run_context.draining())
    try:
        await asyncio.wait([working, drain], timeout=conversation.left_s, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            if drain.done():
                raise GraphDrained("deadline")
            working.cancel()
            await asyncio.wait([working])
            raise await conversation.give_up()
        working.result()
    finally:
        working.cancel()
        drain.cancel()


async def _forward_all(
    call: _Call, conversation: Conversation, forwarding: Forwarding, speaking: Speaking | None
) -> None:
    reported = conversation.task_id is not None

    def report(delegated: DelegatedTask | None) -> None:
        emit("tool_start", step=call.step, parent=call.parent, name=f"ask {forwarding.agent}", asked=delegated)

    try:
        async with aclosing(conversation.events()) as events:
            async for event in events:
                if not reported and conversation.task_id is not None:
                    # From now on a new attempt finds the agent's task instead of asking again.
                    report(DelegatedTask(conversation.url, conversation.task_id, since=conversation.since))
                    reported = True
                forwarding.forward(conversation.task_id, event)
                if speaking is not None:
                    speaking.hear(event)
    finally:
        if not reported:
            report(None)
