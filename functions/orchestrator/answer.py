"""What came of asking a specialist: its task, decoded once and typed from here on.

A specialist may be any agent, so its task may hold anything. What can be read is kept, within bounds; what is left out
is told in `notes`. Nothing here raises for what an agent sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from tailrace.errors import RequestError, shorten
from tailrace.findings import Finding, finding_of

T = TypeVar("T")

# What is kept of one specialist's answer, so that the answers of several fit into one event and one checkpoint.
_MOST_FINDINGS, _MOST_TEMPLATES, _MOST_NOTES = 200, 200, 20
_LONGEST_TEXT, _LONGEST_NOTE = 20_000, 500
_LONGEST_SUBJECT, _LONGEST_SUMMARY, _LONGEST_WORD = 500, 1_000, 60
_EVIDENCE_BYTES, _EVIDENCE_DEPTH = 8_000, 16
# Of a list as JSON, and when that is compressed.
_MOST_BYTES, _PACKED_BYTES = 1_000_000, 40_000
# How many different reasons are told why something could not be read.
_REASONS = 3


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template of log lines: how many there are, when the `first` and `last` were written, and one of them."""

    id: str | int = ""
    template: str
    count: int = 0
    first: str | None = None
    last: str | None = None
    example: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A specialist's answer.

    `error` says why there is none, or not all of it. `gave_findings` tells a list without findings from no list, and
    `unread` is how many of the list could not be read. `text` is Markdown as the specialist wrote it. `notes` are what
    was left out, and what the specialist says of the limits of its findings.
    """

    agent: str
    error: str | None = None
    gave_findings: bool = False
    findings: list[Finding] = []
    unread: int = 0
    templates: list[Template] = []
    text: str = ""
    notes: list[str] = []

    @property
    def outcome(self) -> Literal["findings", "text", "nothing", "failed"]:
        """How the specialist answered. With `findings` there may be none, and a text besides."""
        if self.error is not None:
            return "failed"
        if self.findings or (self.gave_findings and not self.unread):
            return "findings"
        return "text" if self.text else "nothing"

    @property
    def why_nothing(self) -> str | None:
        """Why there is no answer, or not all of it; None when it is as it should be."""
        return "nothing in its answer can be read" if self.outcome == "nothing" else self.error


def refusal(task: dict[str, Any]) -> str | None:
    """Why a specialist's task has no answer, None when it has one."""
    status = _object(task.get("status"))
    state = status.get("state")
    if state == "TASK_STATE_COMPLETED":
        return None
    parts = _objects(_object(status.get("message")).get("parts"))
    said = " ".join(part["text"] for part in parts if isinstance(part.get("text"), str)).strip()
    word = str(state or "").removeprefix("TASK_STATE_").replace("_", " ").lower() or "nowhere"
    return f"its task ended as {shorten(word)}" + (f": {shorten(said, _LONGEST_NOTE)}" if said else "")


def answer_of(agent: str, task: dict[str, Any], error: str | None, notes: list[str]) -> Answer:
    """The answer in a specialist's task. `notes` are what is to be told besides."""
    received = _Received()
    for artifact in received.objects(task.get("artifacts"), "artifacts"):
        received.take(artifact, artifact.get("name") or artifact.get("artifactId"))
    if error is None:  # What a task that failed says last is in its `error` already.
        received.take(_object(_object(task.get("status")).get("message")), None)
    findings = _with_small_evidence(received.findings, received.notes)
    findings = within_bounds(surest_first(findings), _MOST_FINDINGS, "findings", received.notes)
    templates = within_bounds(received.templates, _MOST_TEMPLATES, "templates", received.notes)
    given, more = received.given_notes[:_MOST_NOTES], len(received.given_notes) - _MOST_NOTES
    return Answer(
        agent=agent,
        error=error and shorten(error, _LONGEST_NOTE),
        gave_findings=received.gave_findings,
        findings=findings,
        unread=received.unread,
        templates=templates,
        text=_shortened(received.text(), received.notes),
        notes=[*notes, *received.notes, *given, *([f"{more} more notes are left out."] if more > 0 else [])],
    )


class _Received:
    """What has been read of a task so far. `notes` say what was left out."""

    def __init__(self) -> None:
        self.gave_findings = False
        self.findings: list[Finding] = []
        self.unread = 0
        self.templates: list[Template] = []
        self.given_notes: list[str] = []
        self.notes: list[str] = []
        self._texts: list[tuple[Any, str]] = []

    def objects(self, given: Any, noun: str) -> list[dict[str, Any]]:
        """The objects in a list; what is not as it should be is told."""
        if given is None:
            return []
        if not isinstance(given, list):
            self.notes.append(f"The {noun} of its answer could not be read: they must be a list.")
            return []
        found = [each for each in given if isinstance(each, dict)]
        if odd := len(given) - len(found):
            self.notes.append(f"{odd} of {len(given)} {noun} of its answer could not be read: each must be an object.")
        return found

    def take(self, holder: dict[str, Any], name: Any) -> None:
        """Read the parts of an artifact or a message called `name`."""
        streamed = ""
        for part in self.objects(holder.get("parts"), "parts"):
            if isinstance(part.get("text"), str):
                streamed += part["text"]
                continue
            self._keep_text(name, streamed)
            streamed = ""
            self._take_other(part)
        self._keep_text(name, streamed)

    def text(self) -> str:
        """The texts as one. A `report` beside findings tells them once more, so it is left out."""
        told_as_findings = bool(self.findings) or (self.gave_findings and not self.unread)
        kept = [text for name, text in self._texts if not (told_as_findings and name == "report")]
        return "\n\n".join(dict.fromkeys(kept))  # The last message often repeats an artifact.

    def _take_other(self, part: dict[str, Any]) -> None:
        data = part.get("data")
        if isinstance(data, dict) and data.get("findings") is not None:
            self._take_findings(data)
        elif data is not None:
            self._keep_text(None, _fenced(data))
        elif isinstance(part.get("raw") or part.get("url"), str):
            name = part.get("filename")
            called = f" ({shorten(name)})" if isinstance(name, str) and name else ""
            self.notes.append(f"Its answer has a file{called}, which is not shown here.")
        else:
            self.notes.append("A part of its answer could not be read: it has no text, no data and no file.")

    def _keep_text(self, name: Any, text: str) -> None:
        if text.strip():
            self._texts.append((name, text.strip()))

    def _take_findings(self, data: dict[str, Any]) -> None:
        self.gave_findings = True
        given = _as_list(data["findings"])
        found = self._read(given, "finding", _finding)
        self.unread += len(given) - len(found)
        self.findings += found
        self.templates += self._read(_as_list(data.get("templates")), "template", _template)
        self.given_notes += self._read(_as_list(data.get("notes")), "note", _note)

    def _read(self, given: list[Any], noun: str, read: Callable[[Any], T]) -> list[T]:
        kept: list[T] = []
        reasons: dict[str, None] = {}
        for each in given:
            try:
                kept.append(read(each))
            except RequestError as error:
                reasons[str(error)] = None
        if unread := len(given) - len(kept):
            told = list(reasons)
            more = f"; and {len(told) - _REASONS} more reasons" if len(told) > _REASONS else ""
            nouns = noun if len(given) == 1 else f"{noun}s"
            self.notes.append(
                f"{unread} of {len(given)} {nouns} could not be read: {'; '.join(told[:_REASONS])}{more}."
            )
        return kept


def _finding(given: Any) -> Finding:
    finding = finding_of(given)
    return msgspec.structs.replace(
        finding,
        type=shorten(finding.type, _LONGEST_WORD),
        subject=shorten(finding.subject, _LONGEST_SUBJECT),
        unit=shorten(finding.unit, _LONGEST_WORD),
        summary=shorten(finding.summary, _LONGEST_SUMMARY),
    )


def _template(given: Any) -> Template:
    try:
        template = msgspec.convert(given, Template)
    except msgspec.ValidationError as error:
        raise RequestError(str(error)) from None
    return msgspec.structs.replace(
        template,
        id=template.id if isinstance(template.id, int) else shorten(template.id, _LONGEST_WORD),
        template=shorten(template.template, _LONGEST_SUMMARY),
        example=shorten(template.example, _LONGEST_SUMMARY),
    )


def _note(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise RequestError("a note must be a text that is not empty")
    return shorten(" ".join(given.split()), _LONGEST_NOTE)


def _with_small_evidence(findings: list[Finding], notes: list[str]) -> list[Finding]:
    """The findings, without the evidence of those that have too much."""
    small = [
        finding
        if not _deeper(finding.evidence, _EVIDENCE_DEPTH) and len(_json(finding.evidence)) <= _EVIDENCE_BYTES
        else msgspec.structs.replace(finding, evidence={})
        for finding in findings
    ]
    if large := sum(kept is not given for kept, given in zip(small, findings, strict=True)):
        notes.append(
            f"The evidence of {large} of {len(findings)} findings is left out: it has more than {_EVIDENCE_BYTES:,} "
            f"bytes, or more than {_EVIDENCE_DEPTH} levels."
        )
    return small


def within_bounds(items: list[T], most: int, noun: str, notes: list[str], packed: int = _PACKED_BYTES) -> list[T]:
    """The first of the items, as many as there is room for: at most that many, with so many bytes when compressed."""
    kept = items[:most]
    while len(written := _json(kept)) > _MOST_BYTES or len(zlib.compress(written, 1)) > packed:
        kept = kept[: len(kept) // 2]
    if len(kept) < len(items):
        notes.append(f"Only {len(kept)} of {len(items)} {noun} are kept: there is no room for more.")
    return kept


def _shortened(text: str, notes: list[str]) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    notes.append(f"Its text has {len(text):,} characters; the first {_LONGEST_TEXT:,} are shown.")
    return text[:_LONGEST_TEXT] + "…"


def _fenced(data: Any) -> str:
    """Data that is no list of findings, to be read as it is."""
    written = msgspec.json.format(_json(data), indent=2).decode()
    fence = "```"
    while fence in written:
        fence += "`"
    return f"{fence}json\n{written}\n{fence}"


def _deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects are nested deeper in the value than `depth`."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(each, dict | list) and (depth <= 1 or _deeper(each, depth - 1)) for each in inner)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def surest_first(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: -finding.confidence)


def _as_list(value: Any) -> list[Any]:
    """What should be a list: nothing is an empty one, and what stands alone is the only item of one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
