"""The report in Markdown. It is written section by section, so that it can be read while it grows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from orchestrator.answer import SpecialistAnswer
from orchestrator.next_steps import next_steps
from orchestrator.synthesis import Incident, incident_of, links
from triage.alert import Alert
from triage.findings import Finding, most_confident_first
from triage.markdown import code, fenced, one_line, plain
from triage.times import clock, seconds_of
from triage.wording import counted, duration

# An ISO 8601 time, of which the report shows only the clock.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_LOG_TYPES = ("new_template", "burst", "rare", "gone")
_METRIC_TYPES = ("level_shift", "spike", "drift", "flat_line")
_TYPE_WORDS = {"new_template": "new"}
# What the first sentence says of findings in logs, in metrics, and of other types.
_PLACES = ((" in the logs", "change"), (" in the metrics", "change"), ("", "other sign"))
# The most items of each section.
_TIMELINE, _ROWS, _CAUSES, _SYMPTOMS, _EXAMPLES, _FAINT, _NOTES = 12, 12, 5, 6, 3, 3, 10
_LONGEST_EXAMPLE = 300
# An example is shown only of findings with at least this confidence.
_EXAMPLE_CONFIDENCE = 0.8


def report(
    alert: Alert, answers: Sequence[SpecialistAnswer], findings: list[Finding], notes: list[str]
) -> Iterator[str]:
    """Yield the sections of the report, each with a line break at its end.

    `findings` are those of all answers that are kept; `notes` are listed beside those of the answers.
    """
    incident = incident_of(findings, alert)
    yield f"# {_title(alert, answers, incident)}\n\n"
    yield f"## What happened\n\n{_what_happened(alert, answers, findings, incident)}\n\n"
    if incident is not None:
        yield _when_it_began(alert, incident)
        yield from _evidence(incident)
        yield _cause_and_symptoms(incident)
        yield _next_steps(incident)
    yield from (quoted_text(answer) for answer in answers if answer.text)
    yield not_covered(answers)
    yield notes_of(answers, notes)


def _title(alert: Alert, answers: Sequence[SpecialistAnswer], incident: Incident | None) -> str:
    if alert.title:
        return plain(alert.title)
    if incident is not None:
        return "Triage: an incident was found"
    calm = answers and all(_found_nothing(answer) for answer in answers)
    return "Triage: nothing stands out" if calm else "What the agents answered"


def _what_happened(
    alert: Alert, answers: Sequence[SpecialistAnswer], findings: list[Finding], incident: Incident | None
) -> str:
    if incident is not None:
        return _first_sign(alert, incident)
    if all(answer.outcome in ("failed", "nothing") and not answer.text for answer in answers) and not findings:
        return "No specialist gave an answer that can be read, so nothing can be said about the inputs."
    sentences = []
    if quiet := [answer for answer in answers if _found_nothing(answer)]:
        sentences.append(f"{_names(quiet)} found nothing that stands out from the time before.")
    if findings:
        sentences.append(f"The findings have {counted(len(findings), 'faint sign')}, but no clear one.")
    with_text = [answer for answer in answers if answer.text]
    if complete := [answer for answer in with_text if answer.outcome != "failed"]:
        sentences.append(f"{_names(complete)} answered in text, which is quoted below.")
    if partial := [answer for answer in with_text if answer.outcome == "failed"]:
        sentences.append(f"{_names(partial)} did not finish; the text up to then is quoted below.")
    return " ".join(sentences)


def _found_nothing(answer: SpecialistAnswer) -> bool:
    """Return whether a specialist, if it has no clear findings, has nothing else to say."""
    return answer.outcome == "findings" and not answer.unread and not answer.text


def _names(answers: Sequence[SpecialistAnswer]) -> str:
    *others, last = (code(answer.agent) for answer in answers)
    return f"{', '.join(others)} and {last}" if others else last


def _first_sign(alert: Alert, incident: Incident) -> str:
    counts = " and ".join(
        f"{counted(len(findings), noun)}{place}"
        for findings, (place, noun) in zip(_by_kind(incident.all), _PLACES, strict=True)
        if findings
    )
    start = f"From **{clock(incident.start)}** on{_against_alert(alert, incident)}"
    return f"{start}: {counts}. The first sign is {_sentence(incident.first[0])}"


def _by_kind(findings: list[Finding]) -> tuple[list[Finding], list[Finding], list[Finding]]:
    """Return the findings in logs, those in metrics, and those whose types only their agent knows."""
    in_logs = [finding for finding in findings if finding.type in _LOG_TYPES]
    in_metrics = [finding for finding in findings if finding.type in _METRIC_TYPES]
    return in_logs, in_metrics, [f for f in findings if f.type not in (*_LOG_TYPES, *_METRIC_TYPES)]


def _against_alert(alert: Alert, incident: Incident) -> str:
    if alert.start is None:
        return ""
    early = alert.start - incident.start
    if early > 1:
        return f", {duration(round(early))} before the alert fired ({clock(alert.start)})"
    if early < -1:
        return f", {duration(round(-early))} after the alert fired ({clock(alert.start)})"
    return ", when the alert fired"


def _when_it_began(alert: Alert, incident: Incident) -> str:
    rows = sorted((seconds_of(finding.start), _sentence(finding)) for finding in incident.all)
    shown = rows[:_TIMELINE]
    if alert.start is not None:
        shown = sorted([*shown, (alert.start, "**the alert fired**")])
    text = "## When it began\n\n" + "".join(f"- `{clock(time)}` {sentence}\n" for time, sentence in shown)
    if len(rows) > _TIMELINE:
        text += f"- … and {len(rows) - _TIMELINE} more, until `{clock(rows[-1][0])}`\n"
    return text + f"\nThe last of these ends at `{clock(incident.end)}`.\n\n"


def _evidence(incident: Incident) -> Iterator[str]:
    in_logs, in_metrics, others = _by_kind(incident.all)
    yield "## The evidence\n\n"
    if in_logs:
        yield "### In the logs\n\n" + _table(("change", "template", "lines", "from", "confidence"), in_logs, _count)
    if in_metrics:
        columns = ("change", "series", "values", "from", "confidence")
        yield "### In the metrics\n\n" + _table(columns, in_metrics, _values)
    if others:
        yield "### Other signs\n\n" + _table(("type", "about", "size", "from", "confidence"), others, _size)
    if examples := [finding.example for finding in in_logs if _has_telling_example(finding)][:_EXAMPLES]:
        yield "For example:\n\n" + "".join(f"{fenced(one_line(line)[:_LONGEST_EXAMPLE])}\n" for line in examples)


def _cause_and_symptoms(incident: Incident) -> str:
    text = "## Likely cause, and symptoms\n\n"
    text += "**Likely cause, because it came first:**\n\n"
    text += "".join(f"- {_sentence(finding)}\n" for finding in incident.first[:_CAUSES])
    if incident.faint:
        text += "\n**Faint signs just before it:**\n\n"
        for finding in incident.faint[-_FAINT:]:
            text += f"- `{clock(seconds_of(finding.start))}` {_sentence(finding)}\n"
    linked = {id(link.later): link for link in links(incident)}
    if incident.later:
        text += "\n**Symptoms, because they came later:**\n\n"
        shown = sorted(incident.later, key=lambda f: (id(f) not in linked, -f.confidence))[:_SYMPTOMS]
        for finding in sorted(shown, key=lambda f: seconds_of(f.start)):
            text += f"- {duration(round(seconds_of(finding.start) - incident.start))} later: {_sentence(finding)}"
            if link := linked.get(id(finding)):
                words = ", ".join(f"`{word}`" for word in link.words[:3])
                text += f" It shares {words} with the first sign."
            text += "\n"
    return text + "\nThis only compares times and words. Check it before you act on it.\n\n"


def _next_steps(incident: Incident) -> str:
    steps = "".join(f"{number}. {step}\n" for number, step in enumerate(next_steps(incident), 1))
    return f"## What to look at next\n\n{steps}\n"


def quoted_text(answer: SpecialistAnswer) -> str:
    """Return a specialist's text as a section of quotes, so that nothing in it looks like ours."""
    lines = answer.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    verb = "wrote before it stopped" if answer.outcome == "failed" else "says"
    return f"## What {code(answer.agent)} {verb}\n\n" + "".join(f"> {line}".rstrip() + "\n" for line in lines) + "\n"


def not_covered(answers: Sequence[SpecialistAnswer]) -> str:
    rows = "".join(f"- {code(answer.agent)}: {plain(answer.problem)}\n" for answer in answers if answer.problem)
    return f"## Not covered\n\n{rows}\n" if rows else ""


def notes_of(answers: Sequence[SpecialistAnswer], notes: list[str]) -> str:
    """List what was left out of the answers, and what specialists say about the limits of their findings."""
    rows = [plain(note) for note in notes]
    for answer in answers:
        rows += [f"{code(answer.agent)}: {plain(note)}" for note in answer.notes[:_NOTES]]
        if (more := len(answer.notes) - _NOTES) > 0:
            rows.append(f"{code(answer.agent)}: and {counted(more, 'more note')}.")
    return "## Notes\n\n" + "".join(f"- {row}\n" for row in rows) + "\n" if rows else ""


def _has_telling_example(finding: Finding) -> bool:
    return finding.type != "gone" and finding.confidence >= _EXAMPLE_CONFIDENCE and bool(finding.example)


def _sentence(finding: Finding) -> str:
    """Return a finding's summary with its subject in front, unless it names it, and with times as the report's."""
    summary = one_line(finding.summary).rstrip(".")
    text = plain(_TIME.sub(r"\1", summary))
    return f"{text}." if one_line(finding.subject) in summary else f"{code(finding.subject)}: {text}."


def _count(finding: Finding) -> str:
    """Return how many lines came; if they are gone, also how many were expected."""
    count, expected = finding.number("count"), finding.number("expected")
    if count is None:
        return _size(finding)
    if finding.type == "gone" and expected is not None:
        return f"{count:,} of about {expected:,}"
    return f"{count:,}"


def _values(finding: Finding) -> str:
    before, after = finding.number("before"), finding.number("after")
    if finding.type == "flat_line":
        return f"stood still for {duration(seconds_of(finding.end) - seconds_of(finding.start))}"
    if before is not None and after is not None:
        return f"{before:,.4g} → {after:,.4g}{_unit(finding)}"
    return _size(finding)


def _size(finding: Finding) -> str:
    return f"{finding.magnitude:,.4g}{_unit(finding)}"


def _unit(finding: Finding) -> str:
    return f" {plain(finding.unit)}" if finding.unit else ""


def _type(finding: Finding) -> str:
    return _TYPE_WORDS.get(finding.type, plain(finding.type.replace("_", " ")))


def _table(columns: tuple[str, ...], findings: list[Finding], figure: Callable[[Finding], str]) -> str:
    """Return a table of the findings with the most confidence, in order of time; `figure` is its third column."""
    shown = sorted(most_confident_first(findings)[:_ROWS], key=lambda finding: seconds_of(finding.start))
    rows = [(_type(f), code(f.subject), figure(f), clock(seconds_of(f.start)), f"{f.confidence:.0%}") for f in shown]
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"
