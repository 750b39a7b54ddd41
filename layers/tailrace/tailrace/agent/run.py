"""A run's attempt: claim the lease, write the fence, run the graph, write what happens, settle.

A run is not a connection: it is a task of the process, started by a request and outliving it. Only
`cancel` stops it, or the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from typing import Any

from langgraph.errors import GraphRecursionError
from langgraph.types import Command

from tailrace import events
from tailrace.agent.past import Past
from tailrace.agent.translate import ToolEvents, Translator, question
from tailrace.config import Settings
from tailrace.emit import set_request
from tailrace.errors import EventTooLarge, Fenced, LogError, LogUnavailable, TailraceError, shorten
from tailrace.events import State
from tailrace.feed import Feeds
from tailrace.fence import put_fence
from tailrace.inputs import request_of
from tailrace.log import EventLog, Head
from tailrace.writer import Writer

logger = logging.getLogger("tailrace.run")

RECURSION_LIMIT = 50
# How long a cancelled graph may take to clean up after itself.
_CLEANUP_S = 5.0
# What is told of an error that is not ours.
_SHOWN = 1_000


class Attempt:
    """One process working on a run. Made by `begin`, driven by `work`."""

    def __init__(self, log: EventLog, feeds: Feeds, settings: Settings, head: Head, next_seq: int) -> None:
        self._log = log
        self._feeds = feeds
        self._settings = settings
        self._head = head
        self._next_seq = next_seq
        self._canceled = asyncio.Event()

    @property
    def task_id(self) -> str:
        return self._head.task_id

    @classmethod
    async def begin(
        cls,
        log: EventLog,
        feeds: Feeds,
        settings: Settings,
        head: Head,
        *,
        reply: dict[str, Any] | None = None,
    ) -> Attempt:
        """Fence off every older attempt of the claimed task: from here on only this one writes.

        The fence is the task's change to WORKING; a `reply` from the user is in it.

        Raises:
            LogUnavailable: nothing may be assumed about the fence.
        """
        fence = await put_fence(log, head, lambda seq: events.status_update(head.source, seq, "state", message=reply))
        with feeds.live(head.task_id) as feed:
            feed.publish(fence)
        return cls(log, feeds, settings, head, fence.last + 1)

    def cancel(self) -> None:
        """Stop the graph at its next await. `work` then ends with CANCELED in the log."""
        self._canceled.set()

    async def work(self, graph: Any, past: Past, *, resume: bool) -> None:
        """Run the graph to its end, a question, a failure or a cancel, and write which.

        `past` is what came before, a reply last of its messages. When the attempt is fenced or the
        log stays away, this stops and leaves the task to the next attempt.
        """
        task_id = self._head.task_id
        with self._feeds.live(task_id) as feed:
            writer = Writer(
                self._log,
                self._head.source,
                self._next_seq,
                feed.publish,
                interval_s=self._settings.emit_interval_ms / 1000,
                patience_s=self._settings.lease_s,
                begun=past.artifacts,
            )
            lease = asyncio.create_task(self._keep_lease(), name=f"lease {task_id}")
            reached: State = "TASK_STATE_WORKING"
            try:
                await self._log.settle(task_id, self._head.attempt, reached, release=False)
                state, text = await self._until_done(graph, past, writer, resume=resume)
                try:
                    writer.status("state", state=state, text=text)
                except (EventTooLarge, UnicodeError) as error:
                    state = "TASK_STATE_FAILED"
                    writer.status("state", state=state, text=f"What the agent said last cannot be written: {error}")
                await writer.flush()
                reached = state
                await self._log.settle(task_id, self._head.attempt, reached, release=True)
            except asyncio.CancelledError:
                # The process stops. The next attempt need not wait for the lease to run out.
                with contextlib.suppress(LogError):
                    await self._log.settle(task_id, self._head.attempt, reached, release=True)
                raise
            except (Fenced, LogUnavailable) as error:
                logger.warning("attempt %d of task %s stops: %s", self._head.attempt, task_id, error)
            finally:
                lease.cancel()
                await writer.close()

    async def _until_done(self, graph: Any, past: Past, writer: Writer, *, resume: bool) -> tuple[State, str | None]:
        """The state the run ends in, and what to say about it."""
        translator = Translator(writer)
        stream = asyncio.create_task(self._stream(graph, past, writer, translator, resume=resume))
        stops = [asyncio.create_task(self._canceled.wait()), asyncio.create_task(writer.broken.wait())]
        try:
            await asyncio.wait([stream, *stops], return_when=asyncio.FIRST_COMPLETED)
            if not stream.done():
                stream.cancel()
                await asyncio.wait([stream], timeout=_CLEANUP_S)
                if writer.broken.is_set():
                    await writer.flush()  # raises what broke it
                return "TASK_STATE_CANCELED", "Canceled on request."
            await stream
        except (Fenced, LogUnavailable):
            raise
        except GraphRecursionError:
            return "TASK_STATE_FAILED", f"The graph did not come to an end in {RECURSION_LIMIT} steps."
        except TailraceError as error:
            return "TASK_STATE_FAILED", str(error)
        except Exception as error:
            logger.error("task %s failed:\n%s", self._head.task_id, traceback.format_exc())
            where = f" in {translator.node}" if translator.node else ""
            what = f"{type(error).__name__}: {shorten(str(error), _SHOWN)}"
            return "TASK_STATE_FAILED", f"The agent failed{where}: {what}"
        finally:
            for task in (stream, *stops):
                task.cancel()
        if translator.interrupts:
            return "TASK_STATE_INPUT_REQUIRED", question(translator.interrupts)
        return "TASK_STATE_COMPLETED", None

    async def _stream(self, graph: Any, past: Past, writer: Writer, translator: Translator, *, resume: bool) -> None:
        config = {
            "configurable": {"thread_id": self._head.task_id, "owner": self._head.owner},
            "recursion_limit": RECURSION_LIMIT,
            "callbacks": [ToolEvents()],
        }
        request = await asyncio.to_thread(request_of, past.messages)
        set_request(request)
        given: Any
        if resume:
            waiting = (await graph.aget_state(config)).interrupts
            reply = await asyncio.to_thread(request_of, past.messages[-1:])
            answer = reply.text or (reply.data[0] if reply.data else "")
            given = Command(resume={interrupt.id: answer for interrupt in waiting})
        else:
            given = {"messages": [("user", request.text)]}
        async for part in graph.astream(
            given,
            config,
            stream_mode=["custom", "messages", "tasks"],
            subgraphs=True,
            version="v2",
            durability="sync",
        ):
            translator.part(part)
            await writer.room()

    async def _keep_lease(self) -> None:
        """Renew the lease until the attempt ends; learn of a cancel on the way."""
        while True:
            await asyncio.sleep(self._settings.renew_s)
            try:
                head = await self._log.renew(self._head.task_id, self._head.attempt, self._settings.lease_s)
            except Fenced:
                return  # The writer's next put meets the fence and stops the attempt.
            except LogUnavailable as error:
                logger.warning("lease of task %s: %s", self._head.task_id, error)
                continue
            if head.cancel_requested:
                self.cancel()
