"""The report: Markdown, section by section, so that it is read while it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from orchestrator.answer import SpecialistAnswer
from orchestrator.next_steps import next_steps
from orchestrator.synthesis import Incident, incident_of, seconds, ties
from tailrace.errors import shorten
from triage.alert import Alert
from triage.findings import Finding

# An ISO 8601 time, of which a report of one day needs the clock.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(?:\.\d+)?Z")
# What could be a mark of Markdown in a line, or the middle of an address that a reader makes a link of.
_MARK = re.compile(r"([\\`*\[\]<>]|(?<!\w)_|_(?!\w)|:(?=//))")
# What could begin a heading, a list or a rule.
_BEGINNING = re.compile(r"^(\d*)([-+#~=.)])(?=[-+#~=\s]|$)")
# What changes how the rest of a line is shown, and is not seen itself.
_UNSEEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TELLING = 0.8
_LOG_TYPES = ("new_template", "burst", "rare", "gone")
_METRIC_TYPES = ("level_shift", "spike", "drift", "flat_line")
_TYPE_WORDS = {"new_template": "new"}
_TIMELINE, _ROWS, _CAUSES, _SYMPTOMS, _EXAMPLES, _FAINT, _NOTES = 12, 12, 5, 6, 3, 3, 10


def only_text(answers: list[SpecialistAnswer]) -> bool:
    """Whether there is nothing to report but what one specialist says."""
    return len(answers) == 1 and answers[0].outcome == "text" and not answers[0].notes


def report(alert: Alert, answers: list[SpecialistAnswer], findings: list[Finding], notes: list[str]) -> Iterator[str]:
    """The sections of the report, each ending with a line break. `notes` are told beside those of the answers."""
    if only_text(answers):
        yield f"{code(answers[0].agent)} answers:\n\n{answers[0].text}\n"
        return
    incident = incident_of(findings, alert)
    yield f"# {_title(alert, answers, incident)}\n\n"
    yield _what_happened(alert, answers, findings, incident)
    if incident is not None:
        yield _when(alert, incident)
        yield from _evidence(incident)
        yield _cause(incident)
        yield _next(incident)
    yield from (_told(answer) for answer in answers if answer.text)
    yield _not_covered(answers)
    yield _notes(answers, notes)


def _title(alert: Alert, answers: list[SpecialistAnswer], incident: Incident | None) -> str:
    if alert.title:
        return _plain(alert.title)
    if incident is not None:
        return "Triage: an incident was found"
    calm = answers and all(_found_nothing(answer) for answer in answers)
    return "Triage: nothing stands out" if calm else "What the agents answered"


def _what_happened(
    alert: Alert, answers: list[SpecialistAnswer], findings: list[Finding], incident: Incident | None
) -> str:
    text = "## What happened\n\n"
    if incident is not None:
        return f"{text}{_first_sign(alert, incident)}\n\n"
    if all(answer.outcome in ("failed", "nothing") and not answer.text for answer in answers) and not findings:
        return f"{text}No specialist gave an answer that can be read, so nothing can be said about the inputs.\n\n"
    sentences = []
    if quiet := [answer for answer in answers if _found_nothing(answer)]:
        sentences.append(f"{_names(quiet)} found nothing that stands out from the time before.")
    if findings:
        signs = "1 faint sign is" if len(findings) == 1 else f"{len(findings)} faint signs are"
        sentences.append(f"{signs} in the findings.")
    if told := [answer for answer in answers if answer.text and answer.outcome != "failed"]:
        sentences.append(f"{_names(told)} answered in words, which are below.")
    if cut := [answer for answer in answers if answer.text and answer.outcome == "failed"]:
        sentences.append(f"{_names(cut)} did not finish; what came until then is below.")
    return f"{text}{' '.join(sentences)}\n\n"


def _found_nothing(answer: SpecialistAnswer) -> bool:
    """Whether a specialist without findings to be sure of says nothing else."""
    return answer.outcome == "findings" and not answer.unread and not answer.text


def _names(answers: list[SpecialistAnswer]) -> str:
    *others, last = (code(answer.agent) for answer in answers)
    return f"{', '.join(others)} and {last}" if others else last


def _first_sign(alert: Alert, incident: Incident) -> str:
    kinds = _by_kind(incident.all)
    counts = [
        f"{len(found)} {noun if len(found) == 1 else nouns}{where}"
        for found, (noun, nouns, where) in zip(kinds, _KIND_WORDS, strict=True)
        if found
    ]
    first = incident.first[0]
    return (
        f"From **{_clock(incident.start)}** on: {' and '.join(counts)}"
        f"{_against_alert(alert, incident)}. The first sign: {_sentence(first)}"
    )


_KIND_WORDS = (
    ("change", "changes", " in the logs"),
    ("change", "changes", " in the metrics"),
    ("other sign", "other signs", ""),
)


def _by_kind(findings: list[Finding]) -> tuple[list[Finding], list[Finding], list[Finding]]:
    """The findings in logs, those in metrics, and those of types that only their agent knows."""
    lines = [f for f in findings if f.type in _LOG_TYPES]
    series = [f for f in findings if f.type in _METRIC_TYPES]
    return lines, series, [f for f in findings if f.type not in (*_LOG_TYPES, *_METRIC_TYPES)]


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
    rows = [(seconds(f.start), f"{_sentence(f)}") for f in incident.all]
    shown = sorted(rows)[:_TIMELINE]
    if alert.start is not None:
        shown = sorted([*shown, (alert.start, "**the alert fired**")])
    text = "## When it began\n\n" + "".join(f"- `{_clock(at)}` {what}\n" for at, what in shown)
    if len(rows) > _TIMELINE:
        text += f"- … and {len(rows) - _TIMELINE} more, until `{_clock(rows[-1][0])}`\n"
    return text + f"\nThe last of it ends at `{_clock(incident.end)}`.\n\n"


def _evidence(incident: Incident) -> Iterator[str]:
    lines, series, others = _by_kind(incident.all)
    yield "## The evidence\n\n"
    if lines:
        yield "### In the logs\n\n" + _table(("what", "template", "count", "first", "sure"), lines, _count)
    if series:
        yield "### In the metrics\n\n" + _table(("what", "series", "change", "from", "sure"), series, _change)
    if others:
        yield "### Other signs\n\n" + _table(("what", "about", "size", "from", "sure"), others, _size)
    if examples := [f.example for f in lines if _tells(f)][:_EXAMPLES]:
        yield "Lines that show it:\n\n" + "".join(_fenced(example) for example in examples)


def _cause(incident: Incident) -> str:
    text = "## Likely cause, and symptoms\n\n"
    text += "**Likely cause, because it came first:**\n\n"
    text += "".join(f"- {_sentence(finding)}\n" for finding in incident.first[:_CAUSES])
    if incident.faint:
        text += "\n**Faint, but just before it:**\n\n"
        text += "".join(f"- `{_clock(seconds(f.start))}` {_sentence(f)}\n" for f in incident.faint[-_FAINT:])
    tied = {id(tie.later): tie for tie in ties(incident)}
    if incident.later:
        text += "\n**Symptoms, because they came later:**\n\n"
        surest = sorted(incident.later, key=lambda f: (id(f) not in tied, -f.confidence))[:_SYMPTOMS]
        for finding in sorted(surest, key=lambda f: seconds(f.start)):
            after = _span(seconds(finding.start) - incident.start)
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


def _told(answer: SpecialistAnswer) -> str:
    """A specialist's text in a section of its own. It is quoted, so that nothing in it can pass for ours."""
    lines = answer.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    says = "says" if answer.outcome != "failed" else "had said when it stopped"
    return f"## What {code(answer.agent)} {says}\n\n" + "".join(f"> {line}".rstrip() + "\n" for line in lines) + "\n"


def _not_covered(answers: list[SpecialistAnswer]) -> str:
    rows = "".join(f"- {code(a.agent)}: {_plain(a.why_nothing)}\n" for a in answers if a.why_nothing)
    return f"## Not covered\n\n{rows}\n" if rows else ""


def _notes(answers: list[SpecialistAnswer], notes: list[str]) -> str:
    """What was left out of the answers, and what the specialists say of the limits of their own findings."""
    rows = [_plain(note) for note in notes]
    for answer in answers:
        shown, more = answer.notes[:_NOTES], len(answer.notes) - _NOTES
        rows += [f"{code(answer.agent)}: {_plain(note)}" for note in shown]
        if more > 0:
            rows.append(f"{code(answer.agent)}: and {more} more note{'s' if more > 1 else ''}.")
    return "## Notes\n\n" + "".join(f"- {row}\n" for row in rows) + "\n" if rows else ""


def _surest(findings: list[Finding]) -> list[Finding]:
    """The rows of a table: the surest findings, in order of time."""
    kept = sorted(findings, key=lambda f: -f.confidence)[:_ROWS]
    return sorted(kept, key=lambda f: seconds(f.start))


def _tells(finding: Finding) -> bool:
    """Whether a finding's example is worth its place: of something that came, and that is sure."""
    return finding.type != "gone" and finding.confidence >= _TELLING and bool(finding.example)


def _sentence(finding: Finding) -> str:
    """A finding's summary, with its subject, and with times as the rest of the report has them."""
    summary = _one_line(finding.summary).rstrip(".")
    text = _plain(_TIME.sub(r"\1", summary))
    return f"{text}." if _one_line(finding.subject) in summary else f"{_cell(finding.subject)}: {text}."


def _count(finding: Finding) -> str:
    """How many lines the finding's summary counts; of what is gone, also how many there should have been."""
    counted, expected = finding.number("count"), finding.number("expected")
    if counted is None:
        return _size(finding)
    if finding.type == "gone" and expected is not None:
        return f"{counted:,} of about {expected:,}"
    return f"{counted:,}"


def _change(finding: Finding) -> str:
    before, after = finding.number("before"), finding.number("after")
    if finding.type == "flat_line":
        return f"stood still for {_span(seconds(finding.end) - seconds(finding.start))}"
    if before is not None and after is not None:
        return f"{before:,.4g} → {after:,.4g}{_unit(finding)}"
    return _size(finding)


def _size(finding: Finding) -> str:
    return f"{finding.magnitude:,.4g}{_unit(finding)}"


def _unit(finding: Finding) -> str:
    return f" {_plain(finding.unit)}" if finding.unit else ""


def _type(finding: Finding) -> str:
    return _TYPE_WORDS.get(finding.type, _plain(finding.type.replace("_", " ")))


def _table(head: tuple[str, ...], findings: list[Finding], figure: Callable[[Finding], str]) -> str:
    rows = [
        (_type(f), _cell(f.subject), figure(f), _clock(seconds(f.start)), f"{f.confidence:.0%}")
        for f in _surest(findings)
    ]
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _cell(text: str) -> str:
    """Text of a log in a table's cell: as code, with nothing that ends the cell."""
    return code(text.replace("|", "¦"))


def code(text: str) -> str:
    """Somebody else's text as code in a line."""
    short = shorten(_one_line(text).replace("`", "'"), 100)
    return f"`{short or '(empty)'}`"


def _plain(text: str) -> str:
    """Somebody else's text in a line: nothing in it is Markdown, becomes a link or ends a table's cell."""
    marked = _MARK.sub(r"\\\1", _one_line(text).replace("|", "¦"))
    return _BEGINNING.sub(r"\1\\\2", marked)


def _fenced(example: str) -> str:
    """A line of a log, fenced by more backticks than are in it."""
    fence = "```"
    while fence in example:
        fence += "`"
    return f"{fence}text\n{_one_line(example)[:300]}\n{fence}\n\n"


def _one_line(text: str) -> str:
    return " ".join(_UNSEEN.sub("", text).split())


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _span(length: float) -> str:
    if length < 120:
        return f"{length:.0f} s"
    return f"{length / 60:.0f} min" if length < 7200 else f"{length / 3600:.1f} h"
