"""Ending a task that nobody runs: its delegated tasks are cancelled, then its last event is written.

Nothing here needs LangGraph, so the gateway can do it too when the agent is away.
"""

from __future__ import annotations

import logging

import httpx

from tailrace import events
from tailrace.agent.delegated_tasks import cancel_delegated_tasks
from tailrace.agent.dispatch import Dispatch
from tailrace.agent.recovery.summary import history_so_far
from tailrace.agent.waking import wake_sleeper
from tailrace.config import Settings
from tailrace.errors import LogUnavailable, TailraceError, shorten
from tailrace.events import DelegatedTask, State
from tailrace.log import EventLog, Head
from tailrace.log.fence import put_fence

logger = logging.getLogger("tailrace.tasks")

# How many attempts in a row may take a task's lease without writing their fence. The task fails after that.
MAX_TRIES = 10
# The text of the last event of a cancelled task.
CANCELED = "Canceled on request."
# Maximum length of an error's text in a task's last event.
_MAX_REASON = 500


class UnownedTasks:
    """Ends tasks that the caller has claimed and that no process runs.

    `dispatch` goes on with a task that sleeps until one of them ends.
    """

    def __init__(
        self, log: EventLog, http: httpx.AsyncClient, settings: Settings, dispatch: Dispatch | None = None
    ) -> None:
        self._log = log
        self._http = http
        self._settings = settings
        self._dispatch = dispatch

    async def cancel(self, claimed: Head) -> None:
        """End the task as CANCELED. Raises as `finish` does."""
        await self.finish(claimed, "TASK_STATE_CANCELED", CANCELED)

    async def finish(self, claimed: Head, state: State, text: str) -> None:
        """End the task with the terminal `state` and the reason `text`, as the attempt that `claimed` names.

        Its delegated tasks are cancelled first, unless its log cannot be read. A lone surrogate in the reason becomes
        a question mark.

        Raises:
            TaskFinished: an older attempt has ended the task.
            Fenced: a newer attempt works on it.
            LogUnavailable: the task may not have been ended.
        """
        delegated = await self._delegated_tasks(claimed)
        await cancel_delegated_tasks(self._log, self._http, claimed, delegated, self._settings)
        text = events.without_surrogates(text)
        await put_fence(
            self._log, claimed, lambda seq: events.status_update(claimed.source, seq, "state", state=state, text=text)
        )
        ended = await self._log.update_state(claimed.task_id, claimed.attempt, state, release=True)
        await wake_sleeper(self._log, self._dispatch, ended)

    async def _delegated_tasks(self, claimed: Head) -> list[DelegatedTask]:
        """The task's open delegated tasks; none if its log cannot be read."""
        if claimed.tries > MAX_TRIES:
            return []  # Reading the log may be what ended every process that tried.
        try:
            return list((await history_so_far(self._log, claimed)).open_delegated_tasks.values())
        except LogUnavailable:
            raise
        except Exception as error:
            logger.warning("task %s: its delegated tasks are unknown and go on: %s", claimed.task_id, error)
            return []


def tries_exhausted(error: Exception | None) -> str:
    """Why a task failed that no attempt could begin. `error` is the last try's; None if its process was lost."""
    what = f"No worker could take the task up, in {MAX_TRIES} tries."
    if error is None:
        return f"{what} The last one was lost before it could say why."
    reason = str(error) if isinstance(error, TailraceError) else f"{type(error).__name__}: {error}"
    return f"{what} The last one failed: {shorten(reason, _MAX_REASON)}"
