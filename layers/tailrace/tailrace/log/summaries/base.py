"""A summary: what somebody has made of a task's first events, with the number of the last one.

It is never needed and never believed over the log: who reads it checks that it belongs to the log's events, and can
read these instead. To the log its content is bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec

# Maximum size of a summary's content, in bytes: in DynamoDB it is one item.
MAX_SUMMARY_BYTES = 350_000


class Summary(msgspec.Struct, frozen=True):
    """`content` is what was made of a task's events up to the seq `last`."""

    last: int
    content: bytes


class Summaries(ABC):
    """A task's newest summary. Every method may raise `LogUnavailable`."""

    @abstractmethod
    async def keep(self, task_id: str, attempt: int, summary: Summary) -> None:
        """Keep the summary in place of an earlier one, and set the head's `summary`: both, or nothing.

        It lives as long as an event that is written now.

        Raises:
            Fenced: a newer attempt has claimed the task. Nothing was written.
            TaskUnknown: there is no such task. Nothing was written.
        """

    @abstractmethod
    async def get(self, task_id: str) -> Summary | None:
        """The task's summary; None if there is none. It may be that of an earlier task with the same id."""
