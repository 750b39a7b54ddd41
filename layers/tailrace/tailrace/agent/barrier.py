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
    """

    def __init__(self) -> None:
        self._namespaces: dict[str, str] = {}  # by step
        self._open: defaultdict[str, set[str]] = defaultdict(set)
        self._ended: set[str] = set()
        self._ended_in: Counter[str] = Counter()
        self._saved_in: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._stopped = False

    def begin(self, namespace: str, step: str) -> None:
        """Note that `step`, an execution of a node in the graph of the namespace, has begun; it may be noted twice."""
        self._namespaces[step] = namespace
        self._open[namespace].add(step)

    def end(self, step: str) -> None:
        """Note that `step`, which has begun, has ended."""
        namespace = self._namespaces[step]
        self._open[namespace].discard(step)
        self._ended.add(step)
        self._ended_in[namespace] += 1
        self._wake()

    def stop(self) -> None:
        """Note that the stream is not read any more. Every wait ends with `EventsMissed`."""
        self._stopped = True
        self._wake()

    async def node(self, step: str) -> None:
        """Wait until `step` has ended.

        Raises:
            EventsMissed: the stream has stopped, or was silent for too long.
        """
        await self._wait_until(lambda: step in self._ended)

    async def nodes_in(self, namespace: str) -> None:
        """Wait until all nodes have ended that ran in the graph of the namespace since the last call.

        Raises:
            EventsMissed: the stream has stopped, or was silent for too long.
        """
        ended, saved = self._ended_in, self._saved_in
        await self._wait_until(lambda: ended[namespace] > saved[namespace] and not self._open[namespace])
        saved[namespace] = ended[namespace]

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        silences = 0
        while not condition():
            if self._stopped or silences == _SILENCES:
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
