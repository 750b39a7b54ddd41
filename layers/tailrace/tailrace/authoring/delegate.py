"""`delegate`: ask another agent from a node or a tool, and return its answer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tailrace.a2a.client import AgentClient
from tailrace.a2a.directory import names_in, without_card
from tailrace.a2a.discovery import DiscoveredAgent, interface_of
from tailrace.a2a.incoming import Task
from tailrace.a2a.remote_task import LONGEST_PAUSE_S, PAUSE_S, RemoteTask, Reply, ReplyRefused
from tailrace.authoring import run_context
from tailrace.authoring.answer import Answer, DelegationFailed, answer_in, failure_of, is_waiting
from tailrace.authoring.delegated_parts import Parts, Sent, as_a2a, digest_of, listed
from tailrace.authoring.emit import current_step, emit, tried
from tailrace.authoring.forwarding import Forwarding
from tailrace.authoring.passed_on import Answered, place_of, question_in, reply_to
from tailrace.authoring.speaking import Speaking
from tailrace.errors import AgentError
from tailrace.events import DelegatedTask, Message, Origin
from tailrace.owner import owner_within
from tailrace.registry import all_agent_urls
from tailrace.tracing import spans

if TYPE_CHECKING:
    from opentelemetry.trace import Span

T = TypeVar("T")

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

    With `TAILRACE_SLEEP_AFTER_S`, a run that only waits for own agents ends its attempt when they are silent, as a
    question to the user does: the node runs again from its top when one of them reports. So call other things that take
    long or must happen once in a node before this one.

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
        GraphDrained: this attempt must end. The next attempt runs the node again, and goes on with the same call, also
            if the node or the tool has caught this.

    Example:
        async def translate(state: MessagesState) -> None:
            answer = await delegate("translator", ["Translate this into French:", state["messages"][-1].text])
            write(answer.text)
    """
    from langgraph.errors import GraphBubbleUp

    call = _Call(agent, listed(parts), context_id)
    await call.prepare()
    async with call.agent(name) as (client, discovered):
        named = name or call.name_of(discovered)
        with spans.call(named, client.url, GraphBubbleUp) as span:
            return await _ask(call, client, discovered, named, write_to, span)


class _TimeIsUp(Exception):
    """What was waited for has taken too long."""


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
        self.caller = getattr(get_config().get("callbacks"), "parent_run_id", None)
        self.step = self.id = ""

    @property
    def me(self) -> str:
        """The name of the agent that asks."""
        return str(self.configurable.get("agent", ""))

    @property
    def before(self) -> DelegatedTask | None:
        """The task that an earlier attempt has at the agent."""
        return self.run.delegated.get(self.step)

    @property
    def message_id(self) -> str:
        """The id of the message that begins the agent's task. All attempts of a run send the same."""
        return f"{self.configurable['task_id']}-{self.id}"

    @property
    def answered(self) -> list[Answered]:
        """What the user has answered to the agent's questions so far."""
        return self.run.answered.get(self.before.task, []) if self.before is not None else []

    def replay(self) -> Reply | None:
        """Ask LangGraph for the answers that the user has given, and return the last as a reply to the agent.

        LangGraph hands answers to a node in the order of its questions. The log says which of them are this call's, so
        several calls in one node may ask in any order.
        """
        from langgraph.types import interrupt

        for each in self.answered:
            interrupt(each.question.value, response_schema=each.question.schema)
        if self.before is None or not self.answered:
            return None
        last = self.answered[-1]
        place = place_of(last.question)
        assert place is not None, "only questions that were passed on are here"
        message = Message(
            message_id=f"{self.message_id}-{len(self.answered)}",
            role="ROLE_USER",
            parts=[reply_to(place, last.answer)],
            task_id=self.before.task,
        )
        return Reply(message, place.message, last.at)

    async def prepare(self) -> None:
        """Give the call its ids. They depend on the node's execution and on which agent is asked for what."""
        content = await asyncio.to_thread(digest_of, self.parts)
        key = "\0".join([self.parent, str(tried()), self.wanted, self.context_id or "", content])
        equal_calls = self.run.calls[key]  # so far
        self.run.calls[key] += 1
        self.id = hashlib.sha256(f"{key}\0{equal_calls}".encode()).hexdigest()[:16]
        self.step = f"{self.parent}-{self.id}"

    @asynccontextmanager
    async def agent(self, name: str) -> AsyncIterator[tuple[AgentClient, DiscoveredAgent | None]]:
        """The agent's client and card. The card may be None if an earlier attempt has a task there."""
        owner = owner_within(self.configurable["owner"], self.configurable["task_id"])
        before, settings = self.before, self.run.settings
        discovered: DiscoveredAgent | None = None
        try:
            discovered = await self.unless_drained(self._find_new() if before is None else self._find(tries=1))
            url = interface_of(discovered, settings) if before is None else before.url
        except AgentError as error:
            if before is None:
                raise DelegationFailed(Answer(agent=name or self.wanted), str(error)) from None
            url = before.url
        yield AgentClient(self.run.http, url, owner=owner, settings=settings), discovered

    async def unless_drained(self, work: Coroutine[Any, Any, T], limit_s: float | None = None) -> T:
        """The result of `work`, which is stopped if this attempt must end before, or if it takes more than `limit_s`.

        Raises:
            GraphDrained: this attempt must end.
            _TimeIsUp
        """
        from langgraph.errors import GraphDrained

        working, drain = asyncio.create_task(work), asyncio.create_task(run_context.draining())
        try:
            await asyncio.wait([working, drain], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            if drain.done():
                self.run.left[self.step] = self.caller
                raise GraphDrained("deadline")
            working.cancel()
            await asyncio.wait([working])
            raise _TimeIsUp
        finally:
            working.cancel()
            drain.cancel()

    def name_of(self, discovered: DiscoveredAgent | None) -> str:
        """The agent's name in its card; if that is not known, one by what it was called by."""
        return discovered.card.name if discovered is not None else without_card(self.wanted)

    async def _find_new(self) -> DiscoveredAgent:
        """Find an agent that has no task for this call. Raises as `_find` does."""
        # The task's id follows from the step's. Another process that runs an older step again would ask once more.
        discovered: DiscoveredAgent
        discovered, _ = await asyncio.gather(self._find(_TRIES_TO_FIND), self.run.confirm())
        return discovered

    async def _find(self, tries: int) -> DiscoveredAgent:
        """Find the agent, in up to `tries` tries.

        Raises:
            AgentError: it cannot be found or reached.
        """
        number = 1
        while True:
            try:
                return await (self.run.directory.at(self.wanted) if "://" in self.wanted else self._named())
            except AgentError as error:
                if error.malformed or number >= tries:
                    raise
            await asyncio.sleep(min(PAUSE_S * 2**number, LONGEST_PAUSE_S))
            number += 1

    async def _named(self) -> DiscoveredAgent:
        """Find the agent by the name in its card.

        Raises:
            AgentError: no agent that may be asked has this name.
        """
        directory, urls = self.run.directory, all_agent_urls(self.run.settings)
        if discovered := await directory.named(self.wanted, urls):
            return discovered
        agents = (await directory.all(urls)).values()
        unreachable = [f" {agent}" for agent in agents if isinstance(agent, AgentError)]
        raise AgentError(
            "no agent of this bundle or of TAILRACE_SPECIALIST_URLS has this name; there are "
            f"{', '.join(map(repr, names_in(agents))) or 'none'}.{''.join(unreachable)}",
            malformed=not unreachable,
        )


async def _ask(
    call: _Call,
    client: AgentClient,
    discovered: DiscoveredAgent | None,
    name: str,
    write_to: str,
    span: Span | None,
) -> Answer:
    reply = call.replay()
    card = discovered.card if discovered is not None else None
    sent, notes = await asyncio.to_thread(as_a2a, call.parts, card)
    message = Message(message_id=call.message_id, role="ROLE_USER", parts=sent, context_id=call.context_id)
    remote_task = RemoteTask(
        client,
        message,
        call.before,
        reply=reply,
        streaming=card.capabilities.streaming if card is not None else None,
        limit_s=call.run.settings.specialist_s,
    )
    forwarding = Forwarding(name, call.step, me=call.me, trusted=client.own, since=remote_task.since)
    speaking = await call.unless_drained(Speaking.begin(write_to, client, call.before)) if write_to else None
    reason: str | None = None
    try:
        await _until_answered(call, remote_task, forwarding, speaking)
    except ReplyRefused as error:
        _ask_again(call, str(error))
    except AgentError as error:
        reason = str(error)
    finally:
        spans.called(span, remote_task.task_id)
    if reason is None and remote_task.task is not None and is_waiting(remote_task.task):
        _pass_on(call, remote_task, remote_task.task, forwarding.agent, own=client.own)
    reason = reason or failure_of(remote_task.task)
    if call.step not in call.run.ended:  # else an earlier attempt has written it, and its node runs again
        emit("tool_complete", step=call.step, parent=call.parent, name=f"ask {forwarding.agent}", error=reason)
    answer = answer_in(forwarding.agent, remote_task.task, [*notes, *remote_task.notes, *forwarding.notes])
    if reason is not None:
        raise DelegationFailed(answer, reason)
    if speaking is not None:
        speaking.settle(answer.text)
    return answer


def _pass_on(call: _Call, remote_task: RemoteTask, task: Task, agent: str, *, own: bool) -> None:
    """Ask the user what the agent's task asks.

    Raises:
        GraphInterrupt: always. The node runs again with the answer.
    """
    from langgraph.types import interrupt

    value, schema = question_in(agent, task, own=own)
    seq, before = remote_task.cursor or 0, call.before
    if seq > (before.cursor if before is not None else 0):
        # It also says to a later attempt that the question has come.
        emit("progress", text=f"{agent} asks", parent=call.step, agent=agent, origin=Origin(task.id, seq))
    if call.step not in call.run.asking:  # else the log has it
        emit("tool_complete", step=call.step, parent=call.parent, name=f"ask {agent}", interrupted=True)
    interrupt(value, response_schema=schema)
    raise AgentError(f"{agent} asks a question that was answered before")


def _ask_again(call: _Call, why: str) -> None:
    """Ask the user again what the agent has refused the answer to. Raises as `_pass_on` does."""
    from langgraph.types import interrupt

    question = call.answered[-1].question
    interrupt({**question.value, "refused": why}, response_schema=question.schema)
    raise AgentError("a question was asked again, and had an answer")


async def _until_answered(
    call: _Call, remote_task: RemoteTask, forwarding: Forwarding, speaking: Speaking | None
) -> None:
    """Forward what the agent does until it is done or its time is up.

    Raises:
        AgentError: there is no answer.
        GraphDrained: this attempt must end.
    """
    waiting = run_context.WaitingCall(
        remote_task, call.caller, own=forwarding.trusted, heard=asyncio.get_running_loop().time()
    )
    call.run.waiting[call.step] = waiting
    try:
        forwarding_all = _forward_all(call, remote_task, forwarding, speaking, waiting)
        await call.unless_drained(forwarding_all, remote_task.left_s)
    except _TimeIsUp:
        raise await remote_task.give_up() from None
    finally:
        del call.run.waiting[call.step]


async def _forward_all(
    call: _Call,
    remote_task: RemoteTask,
    forwarding: Forwarding,
    speaking: Speaking | None,
    waiting: run_context.WaitingCall,
) -> None:
    # A step that has asked the user has ended, and begins again with the answer.
    reported = remote_task.task_id is not None and not (call.answered and call.step in call.run.asking)

    def report(delegated: DelegatedTask | None) -> None:
        call.run.asking.discard(call.step)
        emit("tool_start", step=call.step, parent=call.parent, name=f"ask {forwarding.agent}", asked=delegated)

    try:
        async with aclosing(remote_task.events()) as events:
            async for event in events:
                waiting.heard = asyncio.get_running_loop().time()
                if not reported and remote_task.task_id is not None:
                    # From now on a new attempt finds the agent's task instead of asking again.
                    report(DelegatedTask(remote_task.url, remote_task.task_id, since=remote_task.since))
                    reported = True
                forwarding.forward(remote_task.task_id, event)
                if speaking is not None:
                    speaking.hear(event)
    finally:
        if not reported:
            report(None)
