"""A survey: the logs of a request read and mined one after the other, as far as the task's CPU time goes."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from log_analyst.readers.mining import Miner
from log_analyst.readers.reading import LogReader
from log_analyst.readers.sources import Source
from log_analyst.report import Log
from tailrace import progress
from triage.budget import Budget
from triage.findings import iso

_PROGRESS_EVENTS = 30
_STREAMS = 50
_ASKED = 16  # lines between two looks at the budget and the clock


class Survey:
    """What was read. `stopped` says how far the reading came when it did not come to the end, and is empty otherwise.

    `total` is how many lines there are; `reference` is the moment, in seconds since the epoch, that times without a
    year are not after.
    """

    def __init__(self, sources: list[Source], reference: float, total: int) -> None:
        self.miner = Miner()
        self.logs: list[Log] = []
        self.lines = self.cut = 0
        self.stopped = ""
        self._sources = sources
        self._reference = reference
        self._total = total
        self._numbers: dict[str, int] = {}

    @property
    def streams(self) -> dict[int, tuple[str, Sequence[float], int]]:
        """By number: each log's name, the times of its lines, and how many of them are warnings or worse."""
        miner = self.miner
        return {
            at: (name if at < _STREAMS else "the other logs", miner.times[at], miner.serious[at])
            for name, at in self._numbers.items()
            if miner.times.get(at)
        }

    def steps(self, budget: Budget) -> Generator[None, None, None]:
        """Read line by line until all is read or the budget is exhausted."""
        told = 0
        step = max(10_000, self._total // _PROGRESS_EVENTS)
        for number, source in enumerate(self._sources):
            if budget.exhausted:
                self._stop(budget, number)
                return
            stream = self._numbers.setdefault(source.stream, min(len(self._numbers), _STREAMS))
            reading = LogReader(source, self._reference)
            whole = True
            for record in reading.steps():
                if record is not None:
                    self.miner.add(record.entry, stream, (number, record.start, record.end))
                if reading.lines % _ASKED:
                    continue
                if self.lines + reading.lines >= told + step:
                    told = self.lines + reading.lines
                    progress(f"parsed {told:,} lines", done=told, total=self._total)
                yield
                if budget.exhausted and reading.lines < source.content.line_count:
                    whole = False
                    break
            self.lines += reading.lines
            self.cut += reading.cut
            self.logs.append(Log(source.name, reading.format, reading.lines))
            if not whole:
                self._stop(budget, number)
                return
            if len(self._sources) > _STREAMS and number and number % max(50, len(self._sources) // 10) == 0:
                progress(f"read {number + 1:,} logs", done=self.lines, total=self._total)

    def _stop(self, budget: Budget, whole: int) -> None:
        """Say how far it came, and leave out what is later than the lines that were not read of the same logs.

        Otherwise a log would seem to have fallen silent where the reading stopped.
        """
        count = len(self._sources)
        self.stopped = (
            f"The analysis stopped when it had used its {budget.seconds:g} s of CPU time (TAILRACE_ANALYSIS_S): it had "
            f"read {whole:,} of {count:,} log{'s' if count != 1 else ''} whole, and {self.lines:,} of {self._total:,} "
            "lines. The rest was not looked at."
        )
        unfinished = {self._numbers.get(source.stream) for source in self._sources[whole:]}
        ends = [max(times) for at, times in self.miner.times.items() if at in unfinished and times]
        if ends and (later := self.miner.forget_after(min(ends))):
            self.stopped += (
                f" {later:,} entries later than {iso(min(ends))} were left out too: "
                "there is nothing to compare them with."
            )
