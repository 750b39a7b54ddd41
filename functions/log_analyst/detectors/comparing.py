"""Compares the window with the time before it: from the timeline to candidates for findings."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from log_analyst.detectors import changes
from log_analyst.detectors.histories import Histories
from log_analyst.detectors.timeline import Timeline
from log_analyst.detectors.window import MOST_LOGS
from log_analyst.readers import levels
from log_analyst.readers.mining import Template
from triage.findings import FindingType

# Fewer lines before the window than this cannot show that something is rare.
_ENOUGH_TO_BE_RARE = 100
# Logs of at least so many entries are quiet if no more than so many of them are errors.
_ENOUGH_TO_BE_QUIET, _MOST_LONE_ERRORS, _CONFIDENCE_LONE = 500, 3, 0.4


class Candidate(msgspec.Struct, frozen=True):
    """A change of the template `row`; it is not in words yet.

    Its lines from bucket `begin` to `stop` (exclusive) of the timeline are the change's; about `expected` would be
    usual there. `confidence` is from 0 to 1.
    """

    type: FindingType
    row: Template
    begin: int
    stop: int
    expected: float
    confidence: float

    @property
    def count(self) -> int:
        """The number of the change's lines."""
        return sum(self.row.series[self.begin : self.stop])


def compare(timeline: Timeline, histories: Histories) -> list[Candidate]:
    """Return what changed in the window of `histories`: nothing in logs that go on as before."""
    return _without_echoes([*_firsts(timeline, histories), *_shifts(timeline, histories)])


def lone_errors(timeline: Timeline) -> list[Candidate]:
    """Return the few errors of logs that have no others: rates cannot show them."""
    rows = [row for row in timeline.rows if row.level >= levels.ERROR and not row.coarse]
    if timeline.entries < _ENOUGH_TO_BE_QUIET or sum(row.count for row in rows) > _MOST_LONE_ERRORS:
        return []
    filled = [(row, [at for at, count in enumerate(row.series) if count]) for row in rows]
    return [Candidate("rare", row, at[0], at[-1] + 1, 0.0, _CONFIDENCE_LONE) for row, at in filled if at]


def _firsts(timeline: Timeline, histories: Histories) -> Iterator[Candidate]:
    """Yield the templates that are new or rare."""
    rare: list[Candidate] = []
    once_before = 0
    for row in (*timeline.rows, *timeline.newcomers):
        if row.coarse or not row.times:
            continue
        before = histories.before(row)
        inside = histories.inside(row)
        lifecycle = levels.is_lifecycle(row.text)
        once_before += before == 1 and (row.level >= levels.WARNING or lifecycle)
        filled = [at for at, count in enumerate(inside, histories.begin) if count]
        if not filled:
            continue
        count, share = sum(inside), histories.share([row])
        sure = changes.new(row.level, count, len(filled), share) if not before else None
        if sure is not None:
            last = max(at for at, count in enumerate(row.series) if count)
            yield Candidate("new_template", row, filled[0], last + 1, 0.0, sure)
            continue
        # A well-known line may have another word now and then.
        sure = changes.rare(row.level, count, len(filled), before, share, lifecycle=lifecycle)
        if sure is not None and not row.variant:
            rare.append(Candidate("rare", row, filled[0], filled[-1] + 1, 0.0, sure))
    enough = histories.lines_before >= _ENOUGH_TO_BE_RARE
    if enough and changes.unusually_many(len(rare), once_before, histories.share()):
        yield from rare


def _shifts(timeline: Timeline, histories: Histories) -> Iterator[Candidate]:
    """Yield what bursts or is gone: templates, all ordinary lines, and logs."""
    for row in timeline.rows:
        if row.coarse or not histories.before(row):
            continue
        history = histories.of_row(row)
        if (found := changes.burst(row.level, history)) is not None:
            yield Candidate("burst", row, *found)
        # It is good news if warnings and errors stop.
        if row.level < levels.WARNING and (found := changes.gone(history)) is not None:
            yield Candidate("gone", row, *found)
    if (found := changes.burst(levels.INFO, histories.of_ordinary(), least=2.5)) is not None:
        yield Candidate("burst", _whole(levels.INFO, "all ordinary lines", histories.ordinary), *found)
    logs = timeline.streams.values()
    for log in logs if len(logs) <= MOST_LOGS else ():
        # An error log is silent when all is well.
        if not log.errors_only and (found := changes.gone(histories.of_log(log))) is not None:
            yield Candidate("gone", _whole(levels.WARNING, f"all lines of {log.name}", log.series), *found)


def _whole(level: int, name: str, series: list[int]) -> Template:
    return Template(level, name, (0, 0, 0), whole=True, series=series)


def _without_echoes(candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates that no other one explains.

    A silent log explains that its templates are gone. A burst of all ordinary lines explains the burst of each ordinary
    template, unless one template's burst is most of it.
    """
    silent = [c for c in candidates if c.row.whole and c.type == "gone"]
    bursts = [c for c in candidates if c.type == "burst" and c.row.level < levels.WARNING]
    surge = next((c for c in bursts if c.row.whole), None)
    echoes = [surge]
    if surge is not None:
        single = [c for c in candidates if c.type == "burst" and not c.row.whole]
        most = max((c.count - c.expected for c in single), default=0.0)
        if most <= 0.6 * (surge.count - surge.expected):
            usual = 2 * surge.count / surge.expected
            echoes = [c for c in bursts if not c.row.whole and c.count < usual * c.expected]
    return [
        c
        for c in candidates
        if c not in echoes
        and not (c.type == "gone" and not c.row.whole and any(s.begin < c.stop and c.begin < s.stop for s in silent))
    ]
