"""The node barrier: a node's result is saved only after all its events have been read from LangGraph's stream."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable

# A wait for a node's end fails after this many silences, each of this length.
_SILENCES, _SILENCE_S = 3, 5.0


class EventsMissed(Exception):
    """Some events of a node may not be in the log, so the node's result must not be saved."""


class NodeBarrier:
    """Notes which executions of nodes have begun and ended in the stream, and lets others wait for their ends.

    LangGraph's stream is in order: when a node's end has been read, so has everything that the node emitted.
    `stopped` says whether the stream is no longer read.
    """

    def __init__(self) -> None:
        self._open: defaultdict[str | None, set[str]] = defaultdict(set)
        self._ended: set[str] = set()
        self._ended_in: Counter[str | None] = Counter()
        self._saved_in: Counter[str | None] = Counter()
        self._changed = asyncio.Event()
        self.stopped = False

    def begin(self, parent: str | None, step: str) -> None:
        """Note that `step`, an execution of a node in the subgraph `parent`, has begun."""
        self._open[parent].add(step)

    def end(self, parent: str | None, step: str) -> None:
        """Note that `step` in the subgraph `parent` has ended."""
        self._open[parent].discard(step)
        self._ended.add(step)
        self._ended_in[parent] += 1
        self._wake()

    def stop(self) -> None:
        """Note that the stream is not read any more. Every wait ends with `EventsMissed`."""
        self.stopped = True
        self._wake()

    async def node(self, step: str) -> None:
        """Wait until `step` has ended.

        Raises:
            EventsMissed: the stream has stopped, or was silent for too long.
        """
        await self._wait_until(lambda: step in self._ended)

    async def nodes_below(self, parent: str) -> None:
        """Wait until all nodes have ended that ran in the subgraph `parent` since the last call.

        Raises:
            EventsMissed: the stream has stopped, or was silent for too long.
        """
        await self._wait_until(lambda: self._ended_in[parent] > self._saved_in[parent] and not self._open[parent])
        self._saved_in[parent] = self._ended_in[parent]

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        silences = 0
        while not condition():
            if self.stopped or silences == _SILENCES:
                raise EventsMissed("LangGraph's stream did not have the end of a node.")
            changed = self._changed
            try:
                async with asyncio.timeout(_SILENCE_S):
                    await changed.wait()
            except TimeoutError:
                silences += 1  # A process that was stopped for long counts one silence, not several.

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
