"""The report in Markdown. It is written section by section, so that it can be read while it grows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from orchestrator.answer import SpecialistAnswer
from orchestrator.kinds import LOG_TYPES, METRIC_TYPES
from orchestrator.next_steps import next_steps
from orchestrator.synthesis import Event, events_of, is_cause, links, main_event
from triage.alert import Alert
from triage.failures import failure_in_words
from triage.findings import Finding, most_confident_first
from triage.markdown import code, fenced, one_line, plain
from triage.times import clock, seconds_of
from triage.wording import counted, duration

# An ISO 8601 time, of which the report shows the date and the clock, to seconds.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_TYPE_WORDS = {"new_template": "new"}
# What the first sentence says of findings in logs, in metrics, and of other types.
_PLACES = ((" in the logs", "change"), (" in the metrics", "change"), ("", "other sign"))
# The most items of each section.
_TIMELINE, _ROWS, _CAUSES, _SYMPTOMS, _EXAMPLES, _FAINT, _NOTES, _SAME_TIME = 12, 12, 5, 6, 3, 3, 10, 3
_LONGEST_EXAMPLE = 300
# An example is shown only of findings with at least this confidence.
_EXAMPLE_CONFIDENCE = 0.8


def report(
    alert: Alert, answers: Sequence[SpecialistAnswer], findings: list[Finding], notes: list[str]
) -> Iterator[str]:
    """Yield the sections of the report, each with a line break at its end.

    `findings` are those of all answers that are kept; `notes` are listed beside those of the answers.
    """
    events = events_of(findings)
    main = main_event(events, alert)
    failures = [failure for answer in answers for failure in answer.failures]
    yield f"# {_title(alert, answers, main)}\n\n"
    short = _on_one_day([finding for event in events for finding in event.all], alert)
    yield "## What happened\n\n"
    for failure in failures:
        yield f"**What failed:** {plain(short(_dated(failure_in_words(failure))))}\n\n"
    yield f"{short(_what_happened(alert, answers, findings, events, main))}\n\n"
    if main is not None:
        in_events = [finding for event in events for finding in event.all]
        yield short(_when_it_began(alert, events))
        yield from map(short, _evidence(in_events))
        yield _examples(in_events)
        yield short(_cause_and_symptoms(main))
        yield from (short(_other_event(event, main)) for event in events if event.start > main.start)
        yield "This only compares times, kinds and words. Check it before you act on it.\n\n"
        yield short(_next_steps(main))
    yield from (quoted_text(answer) for answer in answers if answer.text)
    yield not_covered(answers)
    yield notes_of(answers, notes)


def _title(alert: Alert, answers: Sequence[SpecialistAnswer], main: Event | None) -> str:
    if alert.title:
        return plain(alert.title)
    if main is not None:
        return "Triage: an incident was found"
    calm = answers and all(_found_nothing(answer) for answer in answers)
    return "Triage: nothing stands out" if calm else "What the agents answered"


def _what_happened(
    alert: Alert,
    answers: Sequence[SpecialistAnswer],
    findings: list[Finding],
    events: Sequence[Event],
    main: Event | None,
) -> str:
    if main is not None:
        return _what_came_first(alert, events, main)
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


def _what_came_first(alert: Alert, events: Sequence[Event], main: Event) -> str:
    text = (
        f"**What changed first:** from **{_at(main.start)}** on{_against_alert(alert, main)}: {_sentence(main.cause)}"
    )
    if others := main.first[1:]:
        text += f" {_at_the_same_time(others)}"
    text += f" {_ending(main)}"
    for event in events:
        if event is not main:
            text += f"\n\n**{_relation(event, main)}** {_sentence(event.cause)} {_ending(event)}"
    counts = " and ".join(
        f"{counted(len(findings), noun)}{place}"
        for findings, (place, noun) in zip(_by_kind([f for event in events for f in event.all]), _PLACES, strict=True)
        if findings
    )
    groups = f", in {len(events)} events" if len(events) > 1 else ""
    return f"{text}\n\nIn all: {counts}{groups}."


def _at_the_same_time(others: Sequence[Finding]) -> str:
    """Say what may have changed at the same time, because samples and buckets are coarse."""
    coarse = max(finding.early_s + finding.late_s for finding in others)
    names = ", ".join(code(finding.subject) for finding in others[:_SAME_TIME])
    more = f" and {len(others) - _SAME_TIME} more" if len(others) > _SAME_TIME else ""
    whose = "their starts are" if len(others) > 1 else "its start is"
    known = f", as {whose} known to {duration(coarse)} only" if coarse > 1 else ""
    return f"{names}{more} may have changed at the same time{known}."


def _ending(event: Event) -> str:
    """Say whether an event is over, as far as its findings tell."""
    if event.state == "over":
        return f"All of this was over after {_at(event.end)}."
    going_on = [finding for finding in event.all if finding.state == "ongoing"]
    if going_on:
        names = ", ".join(code(finding.subject) for finding in going_on[:_SAME_TIME])
        more = f" and {len(going_on) - _SAME_TIME} more" if len(going_on) > _SAME_TIME else ""
        verb = "goes" if len(going_on) == 1 else "go"
        return f"To the end of the recording {verb} on: {names}{more}."
    return "Whether it is over cannot be told."


def _relation(event: Event, main: Event) -> str:
    """Say when another event began, in relation to the main one."""
    apart = duration(max(round(abs(event.start - main.start)), 1))
    if event.start < main.start:
        return f"An earlier event began at {_at(event.start)}, {apart} before it:"
    meanwhile = ", while the first went on" if event.start <= main.end else ""
    return f"Another event began at {_at(event.start)}, {apart} later{meanwhile}:"


def _by_kind(findings: list[Finding]) -> tuple[list[Finding], list[Finding], list[Finding]]:
    """Return the findings in logs, those in metrics, and those whose types only their agent knows."""
    in_logs = [finding for finding in findings if finding.type in LOG_TYPES]
    in_metrics = [finding for finding in findings if finding.type in METRIC_TYPES]
    return in_logs, in_metrics, [f for f in findings if f.type not in (*LOG_TYPES, *METRIC_TYPES)]


def _against_alert(alert: Alert, event: Event) -> str:
    if alert.start is None:
        return ""
    name = f"{_alert_in_words(alert)} ({_at(alert.start)})"
    early = alert.start - event.start
    if abs(early) <= 1:
        return f", {'when' if alert.fired else 'at'} {name}"
    return f", {duration(round(abs(early)))} {'before' if early > 0 else 'after'} {name}"


def _alert_in_words(alert: Alert) -> str:
    return "the alert fired" if alert.fired else "the time in the request"


def _when_it_began(alert: Alert, events: Sequence[Event]) -> str:
    text = "## When it began\n\n"
    for number, event in enumerate(events, 1):
        rows = [(seconds_of(finding.start), _sentence(finding)) for finding in event.all]
        shown = rows[:_TIMELINE]
        if alert.start is not None and event is main_event(events, alert):
            shown = sorted([*shown, (alert.start, f"**{_alert_in_words(alert)}**")])
        if len(events) > 1:
            text += f"### Event {number}, from {_at(event.start)}\n\n"
        text += "".join(f"- `{_at(time)}` {sentence}\n" for time, sentence in shown)
        if len(rows) > _TIMELINE:
            text += f"- … and {len(rows) - _TIMELINE} more, the last from `{_at(rows[-1][0])}` on\n"
        text += f"\n{_ending(event)}\n\n"
    return text


def _evidence(findings: list[Finding]) -> Iterator[str]:
    in_logs, in_metrics, others = _by_kind(findings)
    yield "## The evidence\n\n"
    if in_logs:
        yield "### In the logs\n\n" + _table(("change", "template", "lines"), in_logs, _count)
    if in_metrics:
        yield "### In the metrics\n\n" + _table(("change", "series", "values"), in_metrics, _values)
    if others:
        yield "### Other signs\n\n" + _table(("type", "about", "size"), others, _size)


def _examples(findings: list[Finding]) -> str:
    in_logs, _, _ = _by_kind(findings)
    if not (examples := [finding.example for finding in in_logs if _has_telling_example(finding)][:_EXAMPLES]):
        return ""
    return "For example:\n\n" + "".join(f"{fenced(one_line(line)[:_LONGEST_EXAMPLE])}\n" for line in examples)


def _cause_and_symptoms(event: Event) -> str:
    text = "## Likely cause, and symptoms\n\n"
    if is_cause(event.cause):
        text += "**Likely cause, because it came first:**\n\n"
    else:
        text += "**This came first, but is itself an effect: its cause is not in what was analysed.**\n\n"
    text += f"- {_sentence(event.cause)}\n"
    if others := event.first[1:]:
        text += "\n**At the same time, as far as the samples tell:**\n\n"
        text += "".join(f"- {_sentence(finding)}\n" for finding in others[:_CAUSES])
        text += f"- … and {len(others) - _CAUSES} more\n" if len(others) > _CAUSES else ""
    if event.faint:
        text += "\n**Faint signs just before it:**\n\n"
        for finding in event.faint[-_FAINT:]:
            text += f"- `{_at(seconds_of(finding.start))}` {_sentence(finding)}\n"
    linked = {id(link.later): link for link in links(event)}
    if event.later:
        text += "\n**Symptoms, because they came later:**\n\n"
        shown = sorted(event.later, key=lambda f: (id(f) not in linked, -f.confidence))[:_SYMPTOMS]
        for finding in sorted(shown, key=lambda f: seconds_of(f.start)):
            text += f"- {_later(finding, event)}: {_sentence(finding)}"
            if link := linked.get(id(finding)):
                words = ", ".join(f"`{word}`" for word in link.words[:3])
                text += f" It shares {words} with what came first."
            text += "\n"
    return f"{text}{_as_it_ended(event)}\n"


def _later(finding: Finding, event: Event) -> str:
    apart = round(seconds_of(finding.start) - event.start)
    return f"{duration(apart)} later" if apart > 0 else "within 1 s"


def _as_it_ended(event: Event) -> str:
    if not event.at_end:
        return ""
    return "\n**Just as it ended:**\n\n" + "".join(
        f"- `{_at(seconds_of(finding.start))}` {_sentence(finding)}\n" for finding in event.at_end[:_FAINT]
    )


def _other_event(event: Event, main: Event) -> str:
    text = f"**{_relation(event, main)}**\n\n"
    text += "".join(f"- {_sentence(finding)}\n" for finding in event.first[:_CAUSES])
    text += "\nWhether this is a consequence of the first or a fault of its own, times alone cannot tell.\n"
    return f"{text}{_as_it_ended(event)}\n"


def _next_steps(incident: Event) -> str:
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
    text = plain(_dated(summary))
    return f"{text}." if one_line(finding.subject) in summary else f"{code(finding.subject)}: {text}."


def _at(seconds: float) -> str:
    """Return a time with its date, which `_on_one_day` leaves out if it says nothing."""
    return clock(seconds, date=True)


def _dated(text: str) -> str:
    """Return a text with its times as `_at` writes them."""
    return _TIME.sub(r"\1 \2", text)


def _on_one_day(findings: Sequence[Finding], alert: Alert) -> Callable[[str], str]:
    """Return a function that leaves out the date of times, if all of the findings and the alert are of one day."""
    days = {time[:10] for finding in findings for time in (finding.start, finding.end)}
    days |= {clock(alert.start, date=True)[:10]} if alert.start is not None else set()
    if len(days) != 1:
        return str
    dated = re.compile(rf"(?<![\d-]){days.pop()} (?=\d\d:\d\d:\d\d)")
    return lambda text: dated.sub("", text)


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
        length = duration(seconds_of(finding.end) - seconds_of(finding.start))
        return f"{'no samples' if finding.evidence.get('kind') == 'missing' else 'stuck'} for {length}"
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
    rows = [
        (_type(f), code(f.subject), figure(f), _at(seconds_of(f.start)), _until(f), f"{f.confidence:.0%}")
        for f in shown
    ]
    heads = (*columns, "from", "to", "confidence")
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _until(finding: Finding) -> str:
    """Return when a change was over; where that is not known, when it was last seen."""
    if finding.state == "ongoing":
        return "goes on"
    if finding.state == "unknown" and finding.end == finding.start:
        return "–"  # a single line or sample has no end
    return _at(seconds_of(finding.end)) + ("" if finding.state == "over" else " or later")
