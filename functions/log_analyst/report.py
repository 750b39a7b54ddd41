"""The report: what was found, in Markdown, for somebody on call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from log_analyst.detectors.comparing import rank
from log_analyst.readers import levels
from triage.findings import Finding, iso

# Findings that are listed, and those that are shown with an example line.
_LISTED = 20
_SHOWN = 6
_TABLE = 20
_TEMPLATE = 120
_LOGS = 5
_KINDS = {"new_template": "new", "rare": "rare", "burst": "bursting", "gone": "gone"}
_FENCE = re.compile(r"`{3,}")


class Log(msgspec.Struct):
    """One log that was read. `lines` counts all of its lines, blank ones too."""

    name: str
    format: str
    lines: int


class Facts(msgspec.Struct):
    """What the report says besides findings and templates. Times are in seconds since the epoch.

    `window` is (start, end, derived), None where nothing could be or had to be compared; `log_count` counts
    also the logs that are not in `logs`. `stopped` says what was not read; it is empty when all was.
    """

    lines: int
    entries: int
    template_count: int
    log_count: int
    logs: list[Log]
    first: float | None
    last: float | None
    window: tuple[float, float, bool] | None
    notes: list[str]
    stopped: str = ""


def report(facts: Facts, findings: list[Finding], templates: list[dict[str, Any]]) -> Iterator[str]:
    """The report, a section at a time: each ends with an empty line."""
    stopped = f"**Not all was read.** {_inline(facts.stopped)}\n\n" if facts.stopped else ""
    yield f"## Logs\n\n{stopped}{_verdict(facts, findings)}\n\n{_reading(facts)}\n\n"
    first_read = sorted(findings, key=rank)
    if len(findings) > 1:
        yield _in_time(findings, first_read[:_LISTED])
    for finding in first_read[:_SHOWN]:
        yield _section(finding)
    if templates:
        yield _table(templates, facts.template_count)
    if facts.notes:
        yield "### Notes\n\n" + "".join(f"- {_inline(note)}\n" for note in facts.notes) + "\n"


def _verdict(facts: Facts, findings: list[Finding]) -> str:
    if not facts.entries:
        return "**Nothing can be said:** no entry was read."
    if facts.first is None:
        return "**Nothing can be said about when:** the lines have no times, so there is only how often each occurs."
    if not findings and facts.window is None:
        where = "in the lines that were read" if facts.stopped else "at any time in these logs"
        return f"**Nothing stands out:** nothing is new, rare, bursting or gone {where}."
    found = ", ".join(
        f"{number} {word}"
        for kind, word in _KINDS.items()
        if (number := sum(1 for finding in findings if finding.type == kind))
    )
    if facts.window is None:
        return f"**{found}**, in logs that are otherwise steady."
    start, end, derived = facts.window
    span = f"{iso(int(start))} to {iso(int(end))}"
    how = (
        "the stretch that differs most from the rest; the request names no usable window"
        if derived
        else "the alert's window, opened a little early because alerts fire late"
    )
    if not found:
        return f"**Nothing stands out** from {span} ({how}) against the time before it."
    return f"**{found}** from {span} ({how}), compared with the time before it."


def _reading(facts: Facts) -> str:
    logs = ", ".join(f"{_code(log.name)} ({log.format}, {log.lines:,} lines)" for log in facts.logs[:_LOGS])
    more = f" and {facts.log_count - _LOGS:,} more" if facts.log_count > _LOGS else ""
    span = ""
    if facts.first is not None and facts.last is not None:
        span = f" They are from {iso(int(facts.first))} to {iso(int(facts.last))}."
    return (
        f"Read {facts.lines:,} lines ({facts.entries:,} entries, {facts.template_count:,} templates) "
        f"in {logs}{more}.{span}"
    )


def _in_time(findings: list[Finding], listed: list[Finding]) -> str:
    """The findings in the order in which they began: causes come before what they cause."""
    one_day = len({finding.start[:10] for finding in listed}) == 1
    lines = "".join(
        f"- {finding.start[11:19] if one_day else finding.start[:19]} {_title(finding)}, {_size(finding)}\n"
        for finding in findings
        if finding in listed
    )
    left = len(findings) - len(listed)
    more = f"\n{left} less certain finding{'s are' if left != 1 else ' is'} not listed.\n" if left else ""
    return f"### In order of time\n\n{lines}{more}\n"


def _section(finding: Finding) -> str:
    example = finding.evidence.get("example")
    routes = finding.evidence.get("routes")
    text = f"### {_title(finding)}\n\n{finding.summary}"
    if finding.type != "gone" and "before" in finding.evidence:
        text += f" {finding.evidence['before']:,} before the window, {finding.evidence['in_window']:,} in it."
    text += f" Confidence {finding.confidence:.0%}.\n\n"
    if routes:
        text += "".join(f"- {_code(route['text'])} ({route['count']:,})\n" for route in routes[:5]) + "\n"
    if example:
        fence = "`" * max(3, 1 + max((len(run) for run in _FENCE.findall(example)), default=2))
        text += f"{_code(finding.evidence['log'])}, for example:\n\n{fence}text\n{example}\n{fence}\n\n"
    return text


def _size(finding: Finding) -> str:
    return f"{finding.magnitude:,g} {finding.unit}"


def _title(finding: Finding) -> str:
    serious = levels.level_of(finding.evidence.get("level")) >= levels.ERROR
    kind = {
        "new_template": "New error" if serious else "New",
        "rare": "Rare error" if serious else "Rare",
        "burst": "Burst",
        "gone": "Gone",
    }.get(finding.type, finding.type)
    return f"{kind}: {_code(finding.subject)}"


def _table(templates: list[dict[str, Any]], total: int) -> str:
    rows = "".join(
        f"| {t['count']:,} | {t['first'] or '-'} | {t['last'] or '-'} | {_cell(t['template'])} |\n"
        for t in templates[:_TABLE]
    )
    more = f"{total - _TABLE:,} more templates are not shown.\n\n" if total > _TABLE else ""
    return f"### Templates\n\n| lines | first | last | template |\n|---:|---|---|---|\n{rows}\n{more}"


def _cell(text: str) -> str:
    return _code(text.replace("|", "¦"))


def _code(text: str) -> str:
    text = " ".join(text.replace("`", "'").split())
    return f"`{text if len(text) <= _TEMPLATE else text[: _TEMPLATE - 1] + '…'}`" if text else "`(empty)`"


def _inline(text: str) -> str:
    """A note, which may name files: nothing in a name may be Markdown."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
