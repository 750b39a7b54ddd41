"""What a specialist answered, decoded once into typed structs.

A specialist may be any agent, so its parts may hold anything. What can be read is kept, within limits; `notes` say what
is left out. Nothing that an agent sends raises an error here.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal, TypeVar

import msgspec

from orchestrator.foreign_finding import finding_of
from tailrace import Answer
from tailrace.a2a.incoming import Part
from tailrace.errors import RequestError, shorten
from triage.failures import Failure
from triage.findings import Finding, TemplateCount, in_order, most_confident_first
from triage.markdown import fenced, one_line
from triage.times import seconds_of

T = TypeVar("T")

# Limits for one specialist, so that the answers of several fit into one event and one checkpoint.
_MOST_FINDINGS, _MOST_TEMPLATES, _MOST_NOTES, _MOST_FAILURES, _MOST_STATUSES = 200, 200, 20, 5, 20
_LONGEST_TEXT, _LONGEST_NOTE = 20_000, 500
_LONGEST_SUBJECT, _LONGEST_SUMMARY, _LONGEST_WORD = 500, 1_000, 60
_EVIDENCE_BYTES, _EVIDENCE_DEPTH = 8_000, 16
# Of one list as JSON, and compressed.
_MOST_BYTES, _COMPRESSED_BYTES = 1_000_000, 40_000
# Compressed, for the lists of all specialists together.
_ALL_FINDINGS_BYTES, _ALL_TEMPLATES_BYTES = 200_000, 100_000
# How many reasons a note gives for what could not be read, and how many files it names.
_MOST_REASONS, _NAMED_FILES = 3, 5


class SpecialistAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one specialist, `agent`.

    `error` says why there is no answer, or only a part. `gave_findings` is whether there was a list of findings, also
    an empty one, and `failures` are when many requests failed; `unread` is how many of the list could not be read.
    `text` is the specialist's own Markdown. `notes`
    say what was left out, and what the specialist says about the limits of its findings.
    """

    agent: str
    error: str | None = None
    gave_findings: bool = False
    findings: list[Finding] = []
    failures: list[Failure] = []
    unread: int = 0
    templates: list[TemplateCount] = []
    text: str = ""
    notes: list[str] = []

    @property
    def outcome(self) -> Literal["findings", "text", "nothing", "failed"]:
        """What kind of answer it is. `findings` also stands for an empty list; there may be a text besides."""
        if self.error is not None:
            return "failed"
        if self.findings or (self.gave_findings and not self.unread):
            return "findings"
        return "text" if self.text else "nothing"

    @property
    def problem(self) -> str | None:
        """Why there is no answer, or only a part; None if it is complete."""
        return "nothing in its answer can be read" if self.outcome == "nothing" else self.error


_STATUS = re.compile(r"[1-5]\d\d")


def answer_of(answer: Answer, error: str | None = None) -> SpecialistAnswer:
    """Return what an agent has answered; with an `error`, what it had answered until then."""
    contents = _Contents(answer, completed=error is None)
    own_notes = list(answer.notes)
    readable = _read(contents.findings, "finding", _finding, own_notes)
    findings = most_confident_first(_with_small_evidence(readable, own_notes))
    findings = within_limits(findings, _MOST_FINDINGS, "findings", own_notes)
    templates = _read(contents.templates, "template", _template, own_notes)
    templates = within_limits(templates, _MOST_TEMPLATES, "templates", own_notes)
    unread = len(contents.findings) - len(readable)
    in_findings = contents.has_findings and (bool(readable) or not unread)
    text = _shortened(contents.text(without_report=in_findings), own_notes)
    failures = _read(contents.failures, "failure", _failure, own_notes)[:_MOST_FAILURES]
    own_notes += _file_notes(contents.files)
    if contents.unknown_parts:
        own_notes.append(
            f"{contents.unknown_parts} of the parts of its answer could not be read: no text, no data and no file."
        )
    their_notes = _read(contents.notes, "note", _note, own_notes)
    their_notes = within_limits(their_notes, _MOST_NOTES, "notes", own_notes)
    return SpecialistAnswer(
        agent=answer.agent,
        error=error and shorten(error, _LONGEST_NOTE),
        gave_findings=contents.has_findings,
        findings=[replace(finding, agent=answer.agent) for finding in findings],
        failures=failures,
        unread=unread,
        templates=templates,
        text=text,
        notes=[*own_notes, *their_notes],
    )


def together(answers: list[SpecialistAnswer], notes: list[str]) -> tuple[list[Finding], list[TemplateCount]]:
    """Return the findings of all answers in order of time, and their templates, as far as they fit into one event.

    Appends to `notes` what is left out.
    """
    findings = most_confident_first(finding for answer in answers for finding in answer.findings)
    findings = within_limits(findings, len(findings), "findings", notes, compressed=_ALL_FINDINGS_BYTES)
    templates = [template for answer in answers for template in answer.templates]
    templates = within_limits(templates, len(templates), "templates", notes, compressed=_ALL_TEMPLATES_BYTES)
    return in_order(findings), templates


class _Contents:
    """What is in an answer's artifacts and, if the task `completed`, in its last message."""

    def __init__(self, answer: Answer, *, completed: bool) -> None:
        self.has_findings = False
        self.findings: list[Any] = []
        self.templates: list[Any] = []
        self.failures: list[Any] = []
        self.notes: list[Any] = []
        self.files: list[str] = []
        self.unknown_parts = 0
        self._texts: list[tuple[str, str]] = []
        for artifact in answer.artifacts:
            self._take(artifact.parts, artifact.name or artifact.artifact_id)
        # The last message of a task that did not complete says why it did not.
        if completed and answer.message is not None:
            self._take(answer.message.parts, "")

    def text(self, *, without_report: bool) -> str:
        """Return all texts as one. A `report` of findings that are read repeats them, so it can be left out."""
        kept = [text for name, text in self._texts if not (without_report and name == "report")]
        return "\n\n".join(dict.fromkeys(kept))  # the last message often repeats an artifact

    def _take(self, parts: list[Part], name: str) -> None:
        streamed = ""
        for part in parts:
            if part.text is not None:
                streamed += part.text
                continue
            self._take_text(name, streamed)
            streamed = ""
            if isinstance(part.data, dict) and part.data.get("findings") is not None:
                self.has_findings = True
                self.findings += _as_list(part.data["findings"])
                self.templates += _as_list(part.data.get("templates"))
                self.failures += _as_list(part.data.get("failures"))
                self.notes += _as_list(part.data.get("notes"))
            elif part.data is not None:
                self._take_text("", fenced(msgspec.json.format(_json(part.data), indent=2).decode(), "json"))
            elif part.raw is not None or part.url is not None:
                self.files.append(part.filename or "without a name")
            else:
                self.unknown_parts += 1
        self._take_text(name, streamed)

    def _take_text(self, name: str, text: str) -> None:
        if text.strip():
            self._texts.append((name, text.strip()))


def _read(items: list[Any], noun: str, read: Callable[[Any], T], notes: list[str]) -> list[T]:
    """Return the items that `read` can read. Appends a note that says how many it cannot, and why."""
    readable: list[T] = []
    reasons: dict[str, None] = {}
    for item in items:
        try:
            readable.append(read(item))
        except RequestError as error:
            if len(reasons) <= _MOST_REASONS:
                reasons[str(error)] = None
    if unread := len(items) - len(readable):
        listed = "; ".join(list(reasons)[:_MOST_REASONS])
        more = "; and for other reasons" if len(reasons) > _MOST_REASONS else ""
        nouns = noun if len(items) == 1 else f"{noun}s"
        notes.append(f"{unread} of {len(items)} {nouns} could not be read: {listed}{more}.")
    return readable


def _file_notes(names: list[str]) -> list[str]:
    if not names:
        return []
    listed = ", ".join(shorten(name) for name in names[:_NAMED_FILES])
    more = f" and {len(names) - _NAMED_FILES} more" if len(names) > _NAMED_FILES else ""
    return [f"Its answer has files, which are not shown here: {listed}{more}."]


def _finding(decoded: Any) -> Finding:
    finding = finding_of(decoded)
    return replace(
        finding,
        type=shorten(finding.type, _LONGEST_WORD),
        subject=shorten(finding.subject, _LONGEST_SUBJECT),
        unit=shorten(finding.unit, _LONGEST_WORD),
        summary=shorten(finding.summary, _LONGEST_SUMMARY),
    )


def _template(decoded: Any) -> TemplateCount:
    try:
        template = msgspec.convert(decoded, TemplateCount)
    except msgspec.ValidationError as error:
        raise RequestError(str(error)) from None
    return replace(
        template,
        id=template.id if isinstance(template.id, int) else shorten(template.id, _LONGEST_WORD),
        template=shorten(template.template, _LONGEST_SUMMARY),
        example=shorten(template.example, _LONGEST_SUMMARY),
    )


def _failure(decoded: Any) -> Failure:
    try:
        failure = msgspec.convert(decoded, Failure)
        spans = [seconds_of(time) for time in (failure.start, failure.end, failure.recorded_until)]
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise RequestError(str(error)) from None
    counts = (failure.failed, failure.failed_before, failure.failed_after)
    totals = (failure.total, failure.total_before, failure.total_after)
    is_whole = all(0 <= part <= whole for part, whole in zip(counts, totals, strict=True)) and all(
        _STATUS.fullmatch(status) for status in failure.statuses
    )
    if spans != sorted(spans) or not is_whole or not failure.total or len(failure.statuses) > _MOST_STATUSES:
        raise RequestError("a failure counts no more requests than there were, and ends after its start")
    return replace(failure, logs=[shorten(log, _LONGEST_WORD) for log in failure.logs[:_NAMED_FILES]])


def _note(decoded: Any) -> str:
    if not isinstance(decoded, str) or not (note := one_line(decoded)):
        raise RequestError("a note must be a text that is not empty")
    return shorten(note, _LONGEST_NOTE)


def _with_small_evidence(findings: list[Finding], notes: list[str]) -> list[Finding]:
    """Return the findings, without the evidence of those that have too much. Appends a note that says so."""
    small = [
        finding
        if not _deeper(finding.evidence, _EVIDENCE_DEPTH) and len(_json(finding.evidence)) <= _EVIDENCE_BYTES
        else replace(finding, evidence={})
        for finding in findings
    ]
    if large := sum(kept is not finding for kept, finding in zip(small, findings, strict=True)):
        notes.append(
            f"The evidence of {large} of {len(findings)} findings is left out: it has more than {_EVIDENCE_BYTES:,} "
            f"bytes, or more than {_EVIDENCE_DEPTH} levels."
        )
    return small


def within_limits(
    items: list[T], most: int, nouns: str, notes: list[str], compressed: int = _COMPRESSED_BYTES
) -> list[T]:
    """Return the first of the items: at most `most`, with at most `compressed` bytes as compressed JSON.

    Appends a note that says how many are left out.
    """
    kept = items[:most]
    while len(encoded := _json(kept)) > _MOST_BYTES or len(zlib.compress(encoded, 1)) > compressed:
        kept = kept[: len(kept) // 2]
    if len(kept) < len(items):
        notes.append(f"Only {len(kept)} of {len(items)} {nouns} are kept: there is no room for more.")
    return kept


def _shortened(text: str, notes: list[str]) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    notes.append(f"Its text has {len(text):,} characters; the first {_LONGEST_TEXT:,} are shown.")
    return text[:_LONGEST_TEXT] + "…"


def _deeper(value: Any, depth: int) -> bool:
    """Return whether lists and objects are nested deeper in the value than `depth`."""
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(each, dict | list) and (depth <= 1 or _deeper(each, depth - 1)) for each in inner)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _as_list(value: Any) -> list[Any]:
    """Return what should be a list: null as an empty one, and any other single value as its only item."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
