"""The report in Markdown, for an engineer on call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from log_analyst.detectors.window import Window
from log_analyst.findings import rank
from log_analyst.readers import levels
from log_analyst.readers.survey import Log
from triage.failures import Failure, failure_in_words
from triage.findings import Finding, TemplateCount
from triage.markdown import code, fenced, plain
from triage.times import iso
from triage.wording import counted

# How many findings are listed, and how many of them have a section of their own.
_LISTED, _SECTIONS = 20, 6
_LISTED_TEMPLATES, _NAMED_LOGS, _LISTED_ROUTES = 20, 5, 5
FEW_LINES = 30  # fewer do not show what is usual
# The words of the report's first sentence, by type of finding.
_TYPE_WORDS = {"new_template": "new", "rare": "rare", "burst": "bursting", "gone": "gone"}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the report says besides findings and templates. Times are in seconds since the epoch.

    `logs` are the first of `log_count` files. `first` and `last` are the times of the first and the last line, None if
    no line has a time. `window` is None if nothing was compared. `stopped` says how far the
    reading came; it is "" if everything was read. `misread` says why the logs were hardly understood, and `seen` what
    most of their lines look like; both are "" if they were understood. `failures` are when many requests failed.
    """

    lines: int
    entries: int
    template_count: int
    log_count: int
    logs: list[Log]
    first: float | None
    last: float | None
    window: Window | None = None
    notes: list[str] = field(default_factory=list)
    stopped: str = ""
    misread: str = ""
    seen: str = ""
    failures: list[Failure] = field(default_factory=list)


def report(facts: Facts, findings: Sequence[Finding], templates: Sequence[TemplateCount]) -> Iterator[str]:
    """Yield the report section by section, each with an empty line at its end.

    `findings` are in order of time, `templates` in order of importance.
    """
    stopped = f"**Not everything was read.** {plain(facts.stopped)}\n\n" if facts.stopped else ""
    yield f"## Logs\n\n{stopped}{_verdict(facts, findings)}\n\n{_input(facts)}\n\n"
    for failure in facts.failures:
        yield f"**Failed requests:** {plain(failure_in_words(failure))}\n\n"
    by_rank = sorted(findings, key=rank)
    if len(findings) > 1:
        yield _in_order_of_time(findings, by_rank[:_LISTED])
    for finding in by_rank[:_SECTIONS]:
        yield _section(finding)
    if templates:
        yield _table(templates, facts.template_count)
    if facts.notes:
        yield "### Notes\n\n" + "".join(f"- {plain(note)}\n" for note in facts.notes) + "\n"


def _verdict(facts: Facts, findings: Sequence[Finding]) -> str:
    if trends := [finding for finding in findings if finding.type == "trend"]:
        others = [finding for finding in findings if finding not in trends]
        before = f"{_verdict(facts, others)} " if others or facts.window else ""
        return f"{before}**{counted(len(trends), 'trend')}** over the whole recording."
    if not facts.entries:
        return "**Nothing can be said:** the logs have no entries."
    if facts.first is None:
        return (
            "**Nothing can be said about changes:** the lines have no times, so they could only be counted."
            f"{_taken_for(facts)}"
        )
    if facts.misread and not findings:
        return f"**These logs could not be read well enough to call them quiet:** {facts.misread}.{_taken_for(facts)}"
    if not findings and facts.window is None:
        if facts.entries < FEW_LINES:
            return f"**Too few lines to judge:** {counted(FEW_LINES, 'line')} are the fewest that show what is usual."
        where = "in the lines that were read" if facts.stopped else "in these logs"
        return f"**Nothing stands out:** I found nothing new, rare, bursting or gone {where}."
    counts = ", ".join(
        f"{number} {word}"
        for kind, word in _TYPE_WORDS.items()
        if (number := sum(1 for finding in findings if finding.type == kind))
    )
    if facts.window is None:
        return f"**{counts}**, in logs that are otherwise steady."
    reason = (
        "the time that differs most from the rest; the request names no window that could be used"
        if facts.window.derived
        else "the alert's window, with some time before it, because alerts fire late"
    )
    span = f"from {iso(int(facts.window.start))} to {iso(int(facts.window.end))} ({reason})"
    if not counts:
        return f"**Nothing stands out** {span}, compared with the time before."
    return f"**{counts}** {span}, compared with the time before."


def _taken_for(facts: Facts) -> str:
    if not facts.seen:
        return ""
    formats = ", ".join(sorted({log.format for log in facts.logs}))
    return f" They were taken for {formats}, with lines like {code(facts.seen)}."


def _input(facts: Facts) -> str:
    logs = ", ".join(
        f"{code(log.name)} ({log.format}, {counted(log.lines, 'line')})" for log in facts.logs[:_NAMED_LOGS]
    )
    more = f" and {facts.log_count - _NAMED_LOGS:,} more" if facts.log_count > _NAMED_LOGS else ""
    span = ""
    if facts.first is not None and facts.last is not None:
        span = f" They are from {iso(int(facts.first))} to {iso(int(facts.last))}."
    entries, templates = counted(facts.entries, "entry", "entries"), counted(facts.template_count, "template")
    return f"Read {counted(facts.lines, 'line')} ({entries}, {templates}) in {logs}{more}.{span}"


def _in_order_of_time(findings: Sequence[Finding], listed: Sequence[Finding]) -> str:
    """List the findings by their start: causes come before their effects."""
    one_day = len({finding.start[:10] for finding in listed}) == 1
    lines = "".join(
        f"- {finding.start[11:19] if one_day else finding.start[:19]} {_title(finding)}, "
        f"{finding.magnitude:,g} {finding.unit}\n"
        for finding in findings
        if finding in listed
    )
    omitted = len(findings) - len(listed)
    verb = "are" if omitted != 1 else "is"
    more = f"\n{counted(omitted, 'less important finding')} {verb} not listed.\n" if omitted else ""
    return f"### In order of time\n\n{lines}{more}\n"


def _section(finding: Finding) -> str:
    evidence = finding.evidence
    text = f"### {_title(finding)}\n\n{finding.summary}"
    if finding.type == "burst":
        text += f" {counted(evidence['before'], 'such line')} before the window, {evidence['in_window']:,} in it."
    text += f" Confidence {finding.confidence:.0%}.\n\n"
    if routes := evidence.get("routes"):
        text += "".join(f"- {code(route['text'])} ({route['count']:,})\n" for route in routes[:_LISTED_ROUTES]) + "\n"
    if finding.example:
        text += f"For example, in {code(evidence['log'])}:\n\n{fenced(finding.example)}\n"
    return text


def _title(finding: Finding) -> str:
    is_error = levels.level_of(finding.evidence.get("level")) >= levels.ERROR
    kind = finding.type.removesuffix("_template").capitalize()
    return f"{kind}{' error' if is_error and kind in ('New', 'Rare') else ''}: {code(finding.subject)}"


def _table(templates: Sequence[TemplateCount], total: int) -> str:
    rows = "".join(
        f"| {template.count:,} | {template.first or '-'} | {template.last or '-'} | {code(template.template)} |\n"
        for template in templates[:_LISTED_TEMPLATES]
    )
    omitted = total - _LISTED_TEMPLATES
    more = (
        f"{counted(omitted, 'more template')} {'are' if omitted != 1 else 'is'} not shown.\n\n" if omitted > 0 else ""
    )
    return f"### Templates\n\n| lines | first | last | template |\n|---:|---|---|---|\n{rows}\n{more}"
