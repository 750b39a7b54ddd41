"""An attempt: it runs the graph from where the run is, writes what happens, and ends the run or hands it on.

A run is not a connection. It is a task of the process that a request starts and that goes on after the request. Only
`cancel`, its deadline or the end of the process stop it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import httpx
import msgspec
from langgraph.errors import GraphDrained, GraphRecursionError
from langgraph.runtime import RunControl

from tailrace.a2a.directory import Directory
from tailrace.agent.answers import passed_on
from tailrace.agent.containment import contain_exits, contained
from tailrace.agent.cost import cost_of
from tailrace.agent.deadline import attempt_deadline
from tailrace.agent.delegated_tasks import cancel_delegated_tasks, is_abandoned, request_cancel_of_late
from tailrace.agent.dispatch import Dispatch
from tailrace.agent.failure import words_of
from tailrace.agent.graph import AgentGraph
from tailrace.agent.graph_run import GraphRun
from tailrace.agent.graph_stream import GraphStream
from tailrace.agent.langgraph_events import Translator
from tailrace.agent.lease import CancelRequested, Lease, LeaseThread
from tailrace.agent.output import earlier_messages
from tailrace.agent.questions import AnswerUnfit, asking
from tailrace.agent.recovery.history import WORKER_LOST, WORKER_STOPPED
from tailrace.agent.recovery.summary import SummaryKeeper
from tailrace.agent.recovery.takeover import Takeover
from tailrace.agent.sleep import Sleep
from tailrace.agent.unowned import CANCELED
from tailrace.agent.waking import Waker
from tailrace.authoring import run_context
from tailrace.config import Settings
from tailrace.errors import EventTooLarge, Fenced, LogUnavailable, Rejected, TailraceError
from tailrace.events import INTERRUPTED, NO_DETAILS, TERMINAL, Cost, Details, State
from tailrace.log import Batch, EventLog, Head
from tailrace.naming import shown_name
from tailrace.stores.units import Units, counting
from tailrace.stream.broadcast import Feeds
from tailrace.stream.writer import Writer
from tailrace.tracing import names
from tailrace.tracing.metrics import count_takeover
from tailrace.tracing.spans import AttemptSpan, attempt

logger = logging.getLogger("tailrace.run")

# How long a cancelled graph may take to clean up after itself.
CLEANUP_S = 5.0
# Why a hand-off was made, if not because of the deadline.
_SLEEPS = "sleep"


class Reached(NamedTuple):
    """What a run has come to: a state, and what the agent says with it as text, and as data for programs."""

    state: State
    text: str | None = None
    data: Any = msgspec.UNSET


class Attempt:
    """One process that works on a run it has taken over. `work` does all of it."""

    def __init__(
        self,
        log: EventLog,
        feeds: Feeds,
        settings: Settings,
        http: httpx.AsyncClient,
        leases: LeaseThread,
        lease: Lease,
        directory: Directory,
        takeover: Takeover,
    ) -> None:
        self._log = log
        self._feeds = feeds
        self._settings = settings
        self._http = http
        self._directory = directory
        self._takeover = takeover
        self._head = takeover.head
        self._delegated = takeover.history.open_delegated_tasks
        self._completed = Details()  # what the COMPLETED event says of the run
        self._canceled = asyncio.Event()
        self._fenced = asyncio.Event()
        self._overrun = asyncio.Event()
        self._over = asyncio.Event()
        self._usage, self._models = takeover.history.usage, takeover.history.models
        self._units = counting() or Units()
        self._leases = leases
        self._lease = lease
        self._sleep: Sleep | None = None
        self._span = AttemptSpan(None)
        self._error = names.OTHER_ERROR  # the type of what has failed the run

    @property
    def task_id(self) -> str:
        """The id of the task that this attempt works on."""
        return self._head.task_id

    @property
    def number(self) -> int:
        """Which attempt of its task this is, from 1."""
        return self._head.attempt

    def cancel(self) -> None:
        """Stop the graph at its next await. `work` then writes CANCELED and ends."""
        self._canceled.set()

    async def work(self, agent: AgentGraph, dispatch: Dispatch) -> bool:
        """Run the graph until it ends, asks the user, fails or is cancelled, and write that; or hand the run on.

        `dispatch` starts the next attempt when the run is handed on. If it sleeps, another task wakes it. If this
        attempt is fenced, or the log stays unavailable, it stops and leaves the task to the next attempt.

        Returns whether the task waits for input although its cancel was requested: the request came while the
        question was being written, too late for this attempt. Then nobody holds the lease.
        """
        takeover, task_id = self._takeover, self.task_id
        if takeover.reason in (WORKER_LOST, WORKER_STOPPED):  # A hand-off is no takeover.
            count_takeover(takeover.reason)
        with (
            attempt(self._head, takeover.reason) as self._span,
            self._feeds.live(task_id) as feed,
            self._leases.keeping(self._lease),
        ):
            waker, summaries = Waker(self._log, dispatch, self._head), SummaryKeeper(self._log, self._head)

            def publish(batch: Batch) -> None:
                feed.publish(batch)
                if batch.last > takeover.fence.last:  # A fence is no news.
                    waker.published(batch.last)
                    summaries.published(batch.last)

            def see(head: Head) -> None:
                if head.cancel_requested:
                    self.cancel()
                waker.see(head)

            writer = Writer(
                self._log,
                self._head.source,
                takeover.fence.last + 1,
                publish,
                interval_s=self._settings.emit_interval_ms / 1000,
                patience_s=self._settings.lease_s,
                begun=takeover.history.texts,
                fence=None if takeover.fenced else takeover.fence,
            )
            lease = asyncio.create_task(self._lease.keep(self._over, self._fenced, see), name=f"lease {task_id}")
            reached: State = "TASK_STATE_WORKING"
            begun = asyncio.create_task(self._begin(writer, see), name=f"begin {task_id}")
            begun.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # what it met is seen
            try:
                self._clear_up(writer)
                outcome = await self._until_done(agent, writer, begun)
                with contextlib.suppress(CancelRequested):
                    await begun  # The head gets one state after the other.
                state, sleep = outcome.state, None
                if state in TERMINAL and state != "TASK_STATE_COMPLETED":
                    delegated = self._delegated.values()
                    await cancel_delegated_tasks(self._log, self._http, self._head, delegated, self._settings)
                if state == reached:
                    await writer.flush()
                    waker.hold()  # A task that sleeps need not know that this one is handed on.
                    sleep = self._sleep if self._sleep is not None and self._sleep.ready else None
                    reason = _SLEEPS if sleep is not None else None
                    writer.status("handoff", Details(reason=reason, cost=self._cost()))
                    self._span.ended(reason or "handoff")
                else:
                    state = self._write_state(writer, outcome)
                    self._span.ended("state", state, self._error if state == "TASK_STATE_FAILED" else "")
                await writer.flush()
                reached = state
                self._over.set()
                await lease  # a renewal that is under way would take the lease again
                if sleep is not None:
                    head = await sleep.fall_asleep()
                else:
                    head = await self._log.update_state(task_id, self._head.attempt, reached, release=True)
                waker.see(head)
                if state == "TASK_STATE_WORKING" and head.orphaned(self._log.now()):
                    await dispatch(head)
                await waker.settled()
                if state in TERMINAL and state != "TASK_STATE_COMPLETED":
                    await request_cancel_of_late(self._log, self._head)
                return state in INTERRUPTED and head.cancel_requested
            except asyncio.CancelledError:
                self._span.ended("stopped")
                lease.cancel()
                await self._lease.give_back(reached)
                raise
            except (Fenced, LogUnavailable) as error:
                self._span.ended("lost", error=type(error).__name__)
                logger.warning("attempt %d of task %s stops: %s", self._head.attempt, task_id, error)
            finally:
                lease.cancel()
                begun.cancel()
                waker.close()
                await writer.close()
                await summaries.close()
        return False

    async def _begin(self, writer: Writer, see: Callable[[Head], None]) -> None:
        """Have the fence in the log, set the head's state, and see whether the task is to be cancelled: by what came
        since it was claimed.

        Raises:
            CancelRequested
            Fenced, LogUnavailable: this attempt must not begin.
        """
        begin = partial(self._log.update_state, self.task_id, self._head.attempt, "TASK_STATE_WORKING", release=False)
        head, abandoned, _ = await asyncio.gather(
            self._lease.patiently(begin),
            self._lease.patiently(partial(is_abandoned, self._log, self._head)),
            writer.flush(),
        )
        see(head)
        if abandoned:
            self.cancel()
        if self._canceled.is_set():
            raise CancelRequested

    def _clear_up(self, writer: Writer) -> None:
        """Write the ends that an older attempt did not write, and take back the text of steps that run again."""
        for step in self._takeover.plan.finished:
            details = Details(step=step.id, parent=step.parent, name=step.name)
            writer.status("tool_complete" if step.tool else "node_end", details)
        for artifact, pieces in self._takeover.plan.replaced.items():
            writer.replace_text(artifact, pieces)

    def _write_state(self, writer: Writer, outcome: Reached) -> State:
        """Write what the run has come to. Return the state that could be written: FAILED if what it says cannot."""
        try:
            writer.status("state", self._summary(outcome.state), **outcome._asdict())
        except EventTooLarge as error:
            text = f"What the agent said last cannot be written: {error}"
            writer.status("state", state="TASK_STATE_FAILED", text=text)
            return "TASK_STATE_FAILED"
        return outcome.state

    def _summary(self, state: State) -> Details:
        """What an attempt's last event also says: what the run took, and at its end the tokens and the checkpoints."""
        details = self._completed if state == "TASK_STATE_COMPLETED" else NO_DETAILS
        usage = self._usage if state in TERMINAL and self._usage.calls else None
        return msgspec.structs.replace(details, usage=usage, cost=self._cost())

    def _cost(self) -> Cost:
        """What the run has taken so far, in all attempts."""
        before, prices = self._takeover.history.cost, self._settings.prices
        return cost_of(before, self._units, self._models, prices)

    async def _until_done(self, agent: AgentGraph, writer: Writer, begun: asyncio.Task[None]) -> Reached:
        """Run the graph. Return what the run comes to; its state is WORKING if the run is to be handed on."""
        takeover, control = self._takeover, RunControl()
        translator = Translator(writer, agent, takeover, self._delegated)
        parts = translator.parts
        run, timers = self._timed(control, parts)
        self._sleep = Sleep(self._log, self._head, run)
        graph_run = GraphRun(
            *(agent, takeover, writer, translator, self._settings, self._sleep.calls, begun),
            traced=self._span.is_recording,
        )
        contain_exits(asyncio.get_running_loop())
        stream = contained(graph_run.stream(run, control))
        reasons = (self._canceled, self._fenced, self._overrun, writer.broken, parts.failed)
        stops = [asyncio.create_task(reason.wait()) for reason in reasons]
        sleeping = asyncio.create_task(self._drain_to_sleep(self._sleep, control, run))
        try:
            with run_context.under_way(run):
                await asyncio.wait([stream, *stops], return_when=asyncio.FIRST_COMPLETED)
            if not stream.done():
                return await self._stop(stream, writer, translator, parts)
            await stream
            if translator.questions:
                return Reached(*asking(translator.questions))
            await translator.finish(await earlier_messages(agent, takeover))
            self._completed = graph_run.completed
            return Reached("TASK_STATE_COMPLETED")
        except GraphDrained:
            return Reached("TASK_STATE_WORKING")
        except CancelRequested:
            return Reached("TASK_STATE_CANCELED", CANCELED)
        except AnswerUnfit as error:
            return Reached(*asking(error.questions, str(error)))
        except (Fenced, LogUnavailable):
            raise
        except GraphRecursionError as error:
            self._error = type(error).__name__
            return Reached("TASK_STATE_FAILED", f"The graph did not come to an end in {agent.recursion_limit} steps.")
        except Rejected as error:
            return Reached("TASK_STATE_REJECTED", str(error))
        except TailraceError as error:
            self._error = type(error).__name__
            return Reached("TASK_STATE_FAILED", str(error))
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit):
            raise  # These are the process's own; those of the graph come as ProcessExit.
        except BaseException as error:  # whatever the author's code raises fails this task and nothing else
            self._error = type(error).__name__
            logger.error("task %s failed:\n%s", self.task_id, traceback.format_exc())
            where = f" in {shown_name(translator.node)}" if translator.node else ""
            why = [words_of(error), agent.lacks(takeover.history.messages, error)]
            return Reached("TASK_STATE_FAILED", f"The agent failed{where}: {'. '.join(filter(None, why))}")
        finally:
            parts.close()
            self._usage, self._models = translator.usage, translator.models
            for task in (stream, sleeping, *stops):
                task.cancel()
            for timer in timers:
                timer.cancel()

    async def _drain_to_sleep(self, sleep: Sleep, control: RunControl, run: run_context.RunContext) -> None:
        """Stop the graph when it may sleep."""
        await sleep.possible()
        if not run.draining.is_set():
            control.request_drain(_SLEEPS)
            run.draining.set()

    async def _stop(
        self, stream: asyncio.Task[None], writer: Writer, translator: Translator, parts: GraphStream
    ) -> Reached:
        """Stop the graph. Return what the run comes to.

        Raises:
            Fenced, LogUnavailable: this attempt must not write any more.
            Exception: a part of the graph's stream could not be taken.
        """
        parts.close()
        translator.barrier.stop()
        if not stream.cancelling():  # A second cancel would stop its nodes' clean-up.
            stream.cancel()
        await asyncio.wait([stream], timeout=CLEANUP_S)
        if stream.done() and not stream.cancelled():
            stream.exception()  # mark an error of the clean-up as seen
        if self._fenced.is_set():
            raise Fenced(self.task_id, self._head.attempt, writer.last + 1)
        if writer.broken.is_set():
            await writer.flush()  # raises what broke it
        if self._canceled.is_set():
            writer.drop()
            return Reached("TASK_STATE_CANCELED", CANCELED)
        if parts.error is not None:
            raise parts.error
        if self._lease.expired:
            # The whole process stood still, so it is not the node's fault.
            raise Fenced(self.task_id, self._head.attempt, writer.last + 1)
        return Reached("TASK_STATE_FAILED", self._overrun_text(translator.node))

    def _timed(
        self, control: RunControl, parts: GraphStream
    ) -> tuple[run_context.RunContext, list[asyncio.TimerHandle]]:
        """The run context for the graph, and the timers that end this attempt."""
        loop, settings, history = asyncio.get_running_loop(), self._settings, self._takeover.history
        deadline = attempt_deadline(settings, loop.time())
        run = run_context.RunContext(
            None if deadline is None else deadline.drains,
            dict(history.delegated),
            history.ended_delegations,
            history.asking_delegations,
            passed_on(history.exchanges),
            parts.receive,
            self._lease.confirm,
            settings,
            self._http,
            self._directory,
        )
        if deadline is None:
            return run, []

        def drain() -> None:
            control.request_drain("deadline")
            run.draining.set()

        return run, [loop.call_at(deadline.drains, drain), loop.call_at(deadline.overruns, self._overrun.set)]

    def _overrun_text(self, node: str) -> str:
        return (
            f"The node {node} ran past the deadline of its process. A node has to end within tailrace.time_left() "
            f"seconds, or leave the rest to the next attempt (TAILRACE_HANDOFF_S is {self._settings.handoff_s:g} s)."
        )
