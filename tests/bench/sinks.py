"""Sinks for a stream's bytes: they count its events, and check that none is missing."""

from __future__ import annotations

import re

from tests.bench.report import BenchError

# Paced events carry two times in the place of counts: when the event was emitted, and when it was due (ns).
_SENT = re.compile(rb'"done":(\d+),"total":(\d+)')


class Counter:
    """Counts events as they arrive. With `ids` (ours) they have to be 1, 2, 3 …, else that is a `BenchError`.

    Events that arrive in one read have one time of arrival. `arrivals` has (time in ns, events so far).
    With `keep` the frames are kept as they came.
    """

    def __init__(self, *, ids: bool = True, line_end: bytes = b"\n", keep: bool = False) -> None:
        self.count = 0
        self._kept: list[bytes] | None = [] if keep else None
        self.arrivals: list[tuple[int, int]] = []
        self._ids = ids
        self._mark = b"\nid: " if ids else b"\ndata: "
        self._blank = line_end * 2
        self._rest = b"\n"

    def feed(self, data: bytes, at: int) -> None:
        if self._kept is not None:
            self._kept.append(data)
        data = self._rest + data
        end = data.rfind(self._blank)
        if end < 0:
            self._rest = data
            return
        # The rest begins with a line break, so that every mark has one before it.
        cut = end + len(self._blank) - 1
        whole, self._rest = data[:cut], data[cut:]
        found = whole.count(self._mark)
        if not found:
            return
        if self._ids:
            first, last = self._id(whole, whole.find(self._mark)), self._id(whole, whole.rfind(self._mark))
            if (first, last) != (self.count + 1, self.count + found):
                raise BenchError(f"{found} events with ids {first} to {last} came after the event {self.count}.")
        self.count += found
        self.arrivals.append((at, self.count))
        self.counted(whole, at)

    def counted(self, whole: bytes, at: int) -> None:
        """Called with complete frames that arrived at `at`, for subclasses that need more than the count."""

    def frames(self) -> bytes:
        """The frames of all our events that were kept."""
        frames = b"".join(self._kept or []).split(b"\n\n")
        return b"".join(frame + b"\n\n" for frame in frames if frame.startswith(b"id: "))

    def events_per_s(self, since: int, before: int = 0) -> float:
        """The rate of all events after event `before`, from the time `since` (ns) to the last arrival."""
        return (self.count - before) / (self.arrivals[-1][0] - since) * 1e9

    def times(self) -> list[float]:
        """When each event arrived, in ns; those of one read are spread evenly over the time since the last read."""
        times, before_at, before = list[float](), self.arrivals[0][0], 0
        for at, count in self.arrivals:
            times += [
                at - (at - before_at) * (count - number) / (count - before) for number in range(before + 1, count + 1)
            ]
            before_at, before = at, count
        return times

    def _id(self, whole: bytes, mark: int) -> int:
        start = mark + len(self._mark)
        return int(whole[start : whole.index(b"\n", start)])


class Paced(Counter):
    """Records the age of each event at its arrival, in ms: since it was sent, and since it was due."""

    def __init__(self, *, ids: bool = True) -> None:
        super().__init__(ids=ids)
        self.since_sent: list[float] = []
        self.since_due: list[float] = []

    def counted(self, whole: bytes, at: int) -> None:
        for sent, due in _SENT.findall(whole):
            self.since_sent.append((at - int(sent)) / 1e6)
            self.since_due.append((at - int(due)) / 1e6)


class Watch:
    """Records when each of `marks` first appears in a short response."""

    def __init__(self, *marks: bytes) -> None:
        self.seen: dict[bytes, int] = {}
        self._marks = marks
        self._all = b""

    def feed(self, data: bytes, at: int) -> None:
        self._all += data
        for mark in self._marks:
            if mark not in self.seen and mark in self._all:
                self.seen[mark] = at
