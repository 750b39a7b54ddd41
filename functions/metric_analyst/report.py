"""The report in Markdown: what changed, in which order, with which confidence, and what was not covered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from metric_analyst.detectors.change import FEWEST
from triage.findings import Finding
from triage.markdown import plain
from triage.times import clock, seconds_of
from triage.wording import counted, duration, listed

MOST_ROWS = 20
MOST_STEADY = 12
# What `matters` in findings.py leaves out.
_MINOR = "2% of the level, or one point of a percentage"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the report says besides the findings.

    `series` with `samples` in all were read, from `first` to `last` (seconds since the epoch), a sample about every
    `step` seconds. `steady` names series that did not change, `short` counts those with too few samples, `minor` the
    changes that are too small. `stopped` says what there was no CPU time for; it is empty if everything was read and
    checked. `unread` columns of text were left out. `notes` have a line for each thing that the findings do not cover.
    """

    series: int
    samples: int
    first: float
    last: float
    step: float
    steady: str = ""
    short: int = 0
    minor: int = 0
    notes: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    unread: int = 0

    @property
    def of_several_days(self) -> bool:
        return clock(self.first, date=True)[:10] != clock(self.last, date=True)[:10]


def report(facts: Facts, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the report section by section. The first one is a summary."""
    stopped = "".join(f"**Not everything was checked.** {plain(line)}\n\n" for line in facts.stopped)
    yield f"# Metrics\n\n{stopped}{_summary(facts, findings)}\n\n"
    if findings:
        yield from _table(facts, findings)
    if facts.steady and findings:
        yield f"## Steady\n\n{plain(facts.steady)}.\n\n"
    if facts.notes:
        yield "## Left out\n\n" + "".join(f"- {plain(line)}\n" for line in facts.notes) + "\n"


def _summary(facts: Facts, findings: Sequence[Finding]) -> str:
    read = (
        f"I read {counted(facts.series, 'series', 'series')} with {counted(facts.samples, 'sample')} "
        f"from {clock(facts.first, date=True)} to {clock(facts.last, date=facts.of_several_days)} UTC"
        + (f", about every {duration(facts.step)}" if facts.step else "")
    )
    if not findings:
        if facts.series == facts.short:
            return f"{read}. That is too little to judge: a series needs {FEWEST} samples."
        nothing = "**Nothing changed much.**" if facts.minor else "**Nothing changed.**"
        if facts.stopped:
            nothing = "**Nothing changed in what was checked.**"
        elif facts.unread:
            nothing = (
                f"**Nothing changed in the columns of numbers; {counted(facts.unread, 'column')} could not be read.**"
            )
        size = f"is larger than {_MINOR}" if facts.minor else "stands out from the noise"
        return f"{nothing} {read}. No level shift, spike, drift or flat line {size}."
    subjects = len({finding.subject for finding in findings})
    first = min(findings, key=lambda finding: finding.start)
    top = min(findings, key=_rank)
    text = f"**{subjects:,} of {counted(facts.series, 'series', 'series')} changed.** "
    text += f"The earliest found is in {plain(first.subject)}, at {_start(first, facts)} UTC."
    if first is not top:
        text += f" What stands out most, at {_start(top, facts)}: {plain(top.summary)}."
    return f"{text}\n\n{read}."


def _table(facts: Facts, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the findings in order of time: causes come before their effects."""
    yield "## What changed\n\n"
    has_window = any("alert" in finding.evidence for finding in findings)
    columns = ["From", "To", "Series", "What", *(["Alert"] if has_window else []), "Confidence"]
    yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    shown = sorted(sorted(findings, key=_rank)[:MOST_ROWS], key=lambda finding: (finding.start, _rank(finding)))
    for finding in shown:
        what = finding.summary.removeprefix(f"{finding.subject}: ")
        against = f"{finding.evidence['alert']} | " if has_window else ""
        kind = finding.type.replace("_", " ")
        yield (
            f"| {_start(finding, facts)} | {_end(finding, facts)} | {plain(finding.subject)} "
            f"| {kind}: {plain(what)} | {against}{finding.confidence:.0%} |\n"
        )
    if (more := len(findings) - MOST_ROWS) > 0:
        yield f"\n{counted(more, 'less important finding')} {'is' if more == 1 else 'are'} only in the data.\n"
    yield "\n"


def left_out(short: Sequence[str], minor: int, omitted: int) -> Iterator[str]:
    """Yield a line for `short` series, `minor` changes and `omitted` findings, of each that there are."""
    if short:
        yield f"{len(short):,} series with fewer than {FEWEST} samples, too few to judge: {listed(short, 3)}"
    if minor:
        yield f"{counted(minor, 'change')} of less than {_MINOR}, not listed"
    if omitted:
        yield f"{counted(omitted, 'finding')} less important than the 50 listed"


def _rank(finding: Finding) -> int:
    return int(finding.evidence["rank"])


def _start(finding: Finding, facts: Facts) -> str:
    return clock(seconds_of(finding.start), date=facts.of_several_days)


def _end(finding: Finding, facts: Facts) -> str:
    """Return when the change was over; "—" if it was not, because the sentence says that."""
    return clock(seconds_of(finding.end), date=facts.of_several_days) if finding.evidence.get("returned") else "—"
