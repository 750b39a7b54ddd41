"""The report as the analyst writes it: what changed, in what order, how sure, and what was not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from metric_analyst.wording import clock, duration
from triage.findings import Finding

MOST_ROWS = 20
MOST_STEADY = 12


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the report says besides the findings. Times in seconds since the epoch, steps in seconds.

    `stopped` says what the CPU time did not suffice for; it is empty when all was read and looked at.
    """

    series: int
    samples: int
    sources: int
    first: float
    last: float
    step: float
    steady: list[str]
    short: list[str]
    minor: int
    omitted: int
    window: tuple[float, float] | None
    notes: list[str]
    stopped: list[str] = []


def report(facts: Facts, findings: Sequence[Finding]) -> Iterator[str]:
    """The report in Markdown, a section at a time; a summary first, for who reads no further."""
    stopped = "".join(f"**Not all was looked at:** {plain(line)}\n\n" for line in facts.stopped)
    yield f"# Metrics\n\n{stopped}{_opening(facts, findings)}\n\n"
    if findings:
        yield from _table(facts, findings)
        yield from _incidents(facts, findings)
    if facts.steady and findings:
        names = ", ".join(plain(name) for name in facts.steady[:MOST_STEADY])
        more = len(facts.steady) - MOST_STEADY
        yield f"## Steady\n\n{names}{f' and {more:,} more' if more > 0 else ''}.\n\n"
    if lines := left_out(facts):
        yield "## Left out\n\n" + "".join(f"- {plain(line)}\n" for line in lines) + "\n"


def plain(text: str) -> str:
    """Text that Markdown leaves alone: on one line, its special characters escaped."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in " ".join(text.split()))


def _opening(facts: Facts, findings: Sequence[Finding]) -> str:
    dated = not _same_day(facts)
    read = (
        f"{_count(facts.series, 'series', 'series')} with {facts.samples:,} samples "
        f"from {clock(facts.first, date=True)} to {clock(facts.last, date=dated)} UTC"
        + (f", about every {duration(facts.step)}" if facts.step else "")
    )
    if not findings:
        judged = facts.series - len(facts.short)
        if not judged:
            return f"I read {read}. That is too little to judge: a series needs 12 samples."
        nothing = "**Nothing changed in what was looked at.**" if facts.stopped else "**Nothing changed.**"
        return f"{nothing} I read {read}: no level shift, spike, drift or flat line stands out of the noise."
    subjects = len({finding.subject for finding in findings})
    first = min(findings, key=lambda f: f.start)
    top = min(findings, key=_rank)
    head = f"**{_count(subjects, 'series', 'series')} of {facts.series:,} changed.** "
    head += f"The first was {plain(first.subject)} at {_at(first, facts)} UTC"
    head += "." if first is top else f"; what stands out most: {plain(top.summary)}, from {_at(top, facts)}."
    return head + f"\n\nI read {read}."


def _table(facts: Facts, findings: Sequence[Finding]) -> Iterator[str]:
    alert = facts.window is not None
    yield "## What changed\n\n"
    titles = ["From", "To", "Series", "What", *(["Alert"] if alert else []), "Sure"]
    yield f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}\n"
    shown = sorted(sorted(findings, key=_rank)[:MOST_ROWS], key=lambda f: (f.start, _rank(f)))
    for finding in shown:
        what = finding.summary.removeprefix(f"{finding.subject}: ")
        where = f"{finding.evidence.get('alert', '')} | " if alert else ""
        kind = finding.type.replace("_", " ")
        yield (
            f"| {_at(finding, facts)} | {_until(finding, facts)} | {plain(finding.subject)} "
            f"| {kind}: {plain(what)} | {where}{finding.confidence:.0%} |\n"
        )
    if len(findings) > MOST_ROWS:
        yield f"\n{len(findings) - MOST_ROWS:,} less important findings are in the data only.\n"
    yield "\n"


def _incidents(facts: Facts, findings: Sequence[Finding]) -> Iterator[str]:
    """The order of events, where several series changed: causes come before symptoms."""
    groups: dict[int, list[Finding]] = {}
    for finding in sorted(findings, key=lambda f: f.start):
        groups.setdefault(int(finding.evidence["incident"]), []).append(finding)
    if len(findings) < 2:
        return
    yield "## In order\n\n"
    for group in list(groups.values())[:MOST_ROWS]:
        names = ", ".join(plain(finding.subject) for finding in group[:6])
        more = f" and {len(group) - 6:,} more" if len(group) > 6 else ""
        together = " together" if len(group) > 1 else ""
        yield f"- {_at(group[0], facts)}{_against(group[0])}: {names}{more}{together}\n"
    yield "\n"


def _against(finding: Finding) -> str:
    where = finding.evidence.get("alert")
    return f", {where} the alert's window" if where else ""


def left_out(facts: Facts) -> list[str]:
    """What the findings do not cover, and why: a line each."""
    lines = [*facts.stopped, *facts.notes]
    if facts.short:
        names = ", ".join(facts.short[:3]) + (", …" if len(facts.short) > 3 else "")
        lines.append(f"too few samples to judge, 12 are needed ({len(facts.short):,} series): {names}")
    if facts.minor:
        lines.append(f"{_count(facts.minor, 'change', 'changes')} of under 2% of the level, not listed")
    if facts.omitted:
        lines.append(f"{_count(facts.omitted, 'finding', 'findings')} less important than these 50, not listed")
    return lines


def _rank(finding: Finding) -> int:
    return int(finding.evidence["rank"])


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


def _same_day(facts: Facts) -> bool:
    return clock(facts.first, date=True)[:10] == clock(facts.last, date=True)[:10]


def _at(finding: Finding, facts: Facts) -> str:
    return clock(_seconds(finding.start), date=not _same_day(facts))


def _until(finding: Finding, facts: Facts) -> str:
    # "stayed" and "to the end" are in the sentence; the column says when it was over.
    return clock(_seconds(finding.end), date=not _same_day(facts)) if finding.evidence.get("returned") else "—"


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
