"""A survey: reads and mines the logs of a request one after the other, until the task's CPU time is used up."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from log_analyst.readers.mining import Miner
from log_analyst.readers.reading import LogReader
from log_analyst.readers.sources import Source
from tailrace import progress
from triage.budget import Budget
from triage.times import iso
from triage.wording import counted

_PROGRESS_EVENTS = 30
_MOST_STREAMS = 50  # the logs after these share one stream
_LINES_PER_LOOK = 16  # at the budget


@dataclass(frozen=True)
class Log:
    """One file that was read. `lines` counts all of its lines, blank ones too; `format` is its most frequent format."""

    name: str
    format: str
    lines: int


class Survey:
    """Reads `sources`, which have `total` lines.

    `reference` is the time, in seconds since the epoch, that times without a year are not after. `miner` and `logs`
    hold what was read, `lines` is how many lines that were and `cut` how many of them were too long. `stopped` says how
    far the reading came; it is "" if everything was read. `assumptions` say how ambiguous times were read, each with
    the names of the logs that have them.
    """

    def __init__(self, sources: list[Source], reference: float, total: int) -> None:
        self.miner = Miner()
        self.logs: list[Log] = []
        self.lines = self.cut = 0
        self.stopped = ""
        self.assumptions: dict[str, list[str]] = {}
        self._sources = sources
        self._reference = reference
        self._total = total
        self._stream_numbers: dict[str, int] = {}

    @property
    def streams(self) -> dict[int, tuple[str, Sequence[float], int]]:
        """For each stream with times: its name, the times of its lines, and how many are warnings or worse."""
        miner = self.miner
        return {
            number: (name if number < _MOST_STREAMS else "the other logs", miner.times[number], miner.serious[number])
            for name, number in self._stream_numbers.items()
            if miner.times.get(number)
        }

    def steps(self, budget: Budget) -> Generator[None, None, None]:
        """Read line by line until everything is read or the budget is exhausted."""
        reported = 0
        every = max(10_000, self._total // _PROGRESS_EVENTS)
        for number, source in enumerate(self._sources):
            if budget.exhausted:
                self._stop(budget, number)
                return
            stream = self._stream_numbers.setdefault(source.stream, min(len(self._stream_numbers), _MOST_STREAMS))
            reader = LogReader(source, self._reference)
            complete = True
            for record in reader.steps():
                if record is not None:
                    self.miner.add(record.entry, stream, (number, record.start, record.end))
                if reader.lines % _LINES_PER_LOOK:
                    continue
                if self.lines + reader.lines >= reported + every:
                    reported = self.lines + reader.lines
                    progress(f"parsed {reported:,} lines", done=reported, total=self._total)
                yield
                if budget.exhausted and reader.lines < source.content.line_count:
                    complete = False
                    break
            self.lines += reader.lines
            self.cut += reader.cut
            for assumption in reader.assumptions:
                self.assumptions.setdefault(assumption, []).append(source.name)
            self.logs.append(Log(source.name, reader.format, reader.lines))
            if not complete:
                self._stop(budget, number)
                return
            if len(self._sources) > _MOST_STREAMS and number and number % max(50, len(self._sources) // 10) == 0:
                progress(f"read {number + 1:,} logs", done=self.lines, total=self._total)

    def _stop(self, budget: Budget, complete: int) -> None:
        """Say how far the reading came, and drop the entries after the point where it stopped.

        Otherwise the log that was being read would seem to fall silent there.
        """
        self.stopped = (
            f"{budget.ended('The analysis')}. By then it had read {complete:,} of "
            f"{counted(len(self._sources), 'log')} completely, and {self.lines:,} of {counted(self._total, 'line')}."
        )
        unfinished = {self._stream_numbers.get(source.stream) for source in self._sources[complete:]}
        ends = [max(times) for number, times in self.miner.times.items() if number in unfinished and times]
        if ends and (later := self.miner.forget_after(min(ends))):
            self.stopped += (
                f" It left out {counted(later, 'entry', 'entries')} later than {iso(min(ends))}, "
                "because there is nothing to compare them with."
            )
