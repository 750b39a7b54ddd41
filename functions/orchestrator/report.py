"""The report: Markdown, section by section, so that it is read while it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.consult import Answer
from orchestrator.next_steps import next_steps
from orchestrator.synthesis import Finding, Incident, incident_of, seconds, ties
from tailrace.alert import Alert

# An ISO 8601 time, of which a report of one day needs the clock.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_TELLING = 0.8
_LOG_TYPES = ("new_template", "burst", "rare", "gone")
_TYPE_WORDS = {
    "new_template": "new",
    "burst": "burst",
    "rare": "rare",
    "gone": "gone",
    "level_shift": "level shift",
    "spike": "spike",
    "drift": "drift",
    "flat_line": "flat line",
}
_TIMELINE, _ROWS, _CAUSES, _SYMPTOMS, _EXAMPLES, _FAINT, _NOTES = 12, 12, 5, 6, 3, 3, 5


def report(alert: Alert, answers: list[Answer], findings: list[Finding]) -> Iterator[str]:
    """The sections of the report, each ending with a line break."""
    incident = incident_of(findings, alert)
    yield f"# {_title(alert, incident)}\n\n"
    yield _what_happened(alert, answers, findings, incident)
    if incident is not None:
        yield _when(alert, incident)
        yield from _evidence(incident)
        yield _cause(incident)
        yield _next(incident)
    yield _not_covered(answers)
    yield _notes(answers)


def _title(alert: Alert, incident: Incident | None) -> str:
    if alert.title:
        return _one_line(alert.title)
    return "Triage: an incident was found" if incident else "Triage: nothing stands out"


def _what_happened(alert: Alert, answers: list[Answer], findings: list[Finding], incident: Incident | None) -> str:
    answered = [answer["agent"] for answer in answers if not answer["error"]]
    if not answered:
        return "## What happened\n\nNo specialist gave an answer, so nothing can be said about the inputs.\n\n"
    if incident is None:
        asked = " and ".join(f"`{name}`" for name in answered)
        doubtful = f" {len(findings)} faint signs are in the findings." if findings else ""
        return f"## What happened\n\n{asked} found nothing that stands out from the time before.{doubtful}\n\n"
    lines = [f for f in incident.all if f["type"] in _LOG_TYPES]
    series = [f for f in incident.all if f["type"] not in _LOG_TYPES]
    counts = " and ".join(
        f"{len(found)} change{'s' if len(found) > 1 else ''} in the {where}"
        for found, where in ((lines, "logs"), (series, "metrics"))
        if found
    )
    first = incident.first[0]
    return (
        f"## What happened\n\nFrom **{_clock(incident.start)}** on: {counts}"
        f"{_against_alert(alert, incident)}. The first sign: {_sentence(first)}\n\n"
    )


def _against_alert(alert: Alert, incident: Incident) -> str:
    if alert.start is None:
        return ""
    early = alert.start - incident.start
    if early > 1:
        return f", {_span(early)} before the alert fired ({_clock(alert.start)})"
    if early < -1:
        return f", {_span(-early)} after the alert fired ({_clock(alert.start)})"
    return ", as the alert fired"


def _when(alert: Alert, incident: Incident) -> str:
    rows = [(seconds(f["start"]), f"{_sentence(f)}") for f in incident.all]
    shown = sorted(rows)[:_TIMELINE]
    if alert.start is not None:
        shown = sorted([*shown, (alert.start, "**the alert fired**")])
    text = "## When it began\n\n" + "".join(f"- `{_clock(at)}` {what}\n" for at, what in shown)
    if len(rows) > _TIMELINE:
        text += f"- … and {len(rows) - _TIMELINE} more, until `{_clock(rows[-1][0])}`\n"
    return text + f"\nThe last of it ends at `{_clock(incident.end)}`.\n\n"


def _evidence(incident: Incident) -> Iterator[str]:
    lines = [f for f in incident.all if f["type"] in _LOG_TYPES]
    series = [f for f in incident.all if f["type"] not in _LOG_TYPES]
    yield "## The evidence\n\n"
    if lines:
        rows = [
            (_TYPE_WORDS[f["type"]], _cell(f["subject"]), f"{_count(f)}", _clock(seconds(f["start"])), _sure(f))
            for f in _surest(lines)
        ]
        yield "### In the logs\n\n" + _table(("what", "template", "count", "first", "sure"), rows)
    if series:
        rows = [
            (_TYPE_WORDS[f["type"]], _cell(f["subject"]), _change(f), _clock(seconds(f["start"])), _sure(f))
            for f in _surest(series)
        ]
        yield "### In the metrics\n\n" + _table(("what", "series", "change", "from", "sure"), rows)
    if examples := [f["evidence"]["example"] for f in lines if _tells(f)][:_EXAMPLES]:
        yield "Lines that show it:\n\n" + "".join(_fenced(example) for example in examples)


def _cause(incident: Incident) -> str:
    text = "## Likely cause, and symptoms\n\n"
    text += "**Likely cause, because it came first:**\n\n"
    text += "".join(f"- {_sentence(finding)}\n" for finding in incident.first[:_CAUSES])
    if incident.faint:
        text += "\n**Faint, but just before it:**\n\n"
        text += "".join(f"- `{_clock(seconds(f['start']))}` {_sentence(f)}\n" for f in incident.faint[-_FAINT:])
    tied = {id(tie.later): tie for tie in ties(incident)}
    if incident.later:
        text += "\n**Symptoms, because they came later:**\n\n"
        surest = sorted(incident.later, key=lambda f: (id(f) not in tied, -f["confidence"]))[:_SYMPTOMS]
        for finding in sorted(surest, key=lambda f: str(f["start"])):
            after = _span(seconds(finding["start"]) - incident.start)
            text += f"- {after} later: {_sentence(finding)}"
            if tie := tied.get(id(finding)):
                words = ", ".join(f"`{word}`" for word in tie.words[:3])
                text += f" Shares {words} with the first sign."
            text += "\n"
    return text + "\nThis is the order in time and shared words, no more: check it before you act on it.\n\n"


def _next(incident: Incident) -> str:
    return (
        "## What to look at next\n\n"
        + "".join(f"{n}. {step}\n" for n, step in enumerate(next_steps(incident), 1))
        + "\n"
    )


def _not_covered(answers: list[Answer]) -> str:
    failed = [answer for answer in answers if answer["error"]]
    if not failed:
        return ""
    rows = "".join(f"- `{answer['agent']}`: {_one_line(answer['error'] or '')}\n" for answer in failed)
    return f"## Not covered\n\n{rows}\n"


def _notes(answers: list[Answer]) -> str:
    """What the specialists say of the limits of their own findings."""
    rows = "".join(f"- `{a['agent']}`: {_one_line(note)}\n" for a in answers for note in a["notes"][:_NOTES])
    return f"## Notes\n\n{rows}\n" if rows else ""


def _surest(findings: list[Finding]) -> list[Finding]:
    """The rows of a table: the surest findings, in order of time."""
    kept = sorted(findings, key=lambda f: -f["confidence"])[:_ROWS]
    return sorted(kept, key=lambda f: str(f["start"]))


def _tells(finding: Finding) -> bool:
    """Whether a finding's example is worth its place: of something that came, and that is sure."""
    return finding["type"] != "gone" and finding["confidence"] >= _TELLING and "example" in (finding["evidence"] or {})


def _sentence(finding: Finding) -> str:
    """A finding's summary, with its subject, and with times as the rest of the report has them."""
    text = _TIME.sub(r"\1", _one_line(str(finding["summary"])).rstrip("."))
    return f"{text}." if finding["subject"] in text else f"{_cell(finding['subject'])}: {text}."


def _count(finding: Finding) -> str:
    evidence: dict[str, Any] = finding.get("evidence") or {}
    return f"{evidence.get('count', evidence.get('in_window', round(finding['magnitude']))):,}"


def _change(finding: Finding) -> str:
    evidence: dict[str, Any] = finding.get("evidence") or {}
    unit = f" {finding['unit']}" if finding["unit"] else ""
    before, after = evidence.get("before"), evidence.get("after")
    if finding["type"] == "flat_line":
        return f"stood still for {_span(seconds(finding['end']) - seconds(finding['start']))}"
    if isinstance(before, int | float) and isinstance(after, int | float):
        return f"{before:,.4g} → {after:,.4g}{unit}"
    return f"{finding['magnitude']:,.4g}{unit}"


def _sure(finding: Finding) -> str:
    return f"{finding['confidence']:.0%}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _cell(text: str) -> str:
    """Text of a log in a table's cell: as code, with nothing that ends the cell."""
    short = _one_line(text).replace("|", "¦").replace("`", "'")
    return f"`{short if len(short) <= 100 else short[:99] + '…'}`"


def _fenced(example: str) -> str:
    """A line of a log, fenced by more backticks than are in it."""
    fence = "```"
    while fence in example:
        fence += "`"
    return f"{fence}text\n{_one_line(example)[:300]}\n{fence}\n\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _span(length: float) -> str:
    if length < 120:
        return f"{length:.0f} s"
    return f"{length / 60:.0f} min" if length < 7200 else f"{length / 3600:.1f} h"
