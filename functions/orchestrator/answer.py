"""What came of asking a specialist: what its task holds, decoded once and typed from here on.

A specialist may be any agent, so its parts may hold anything. What can be read is kept, within bounds; what is left out
is told in `notes`. Nothing here raises for what an agent sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from tailrace.a2a.incoming import Part, Task
from tailrace.errors import RequestError, shorten
from triage.findings import Finding, finding_of, in_order

T = TypeVar("T")

# What is kept of one specialist's answer, so that the answers of several fit into one event and one checkpoint.
_MOST_FINDINGS, _MOST_TEMPLATES, _MOST_NOTES = 200, 200, 20
_LONGEST_TEXT, _LONGEST_NOTE = 20_000, 500
_LONGEST_SUBJECT, _LONGEST_SUMMARY, _LONGEST_WORD = 500, 1_000, 60
_EVIDENCE_BYTES, _EVIDENCE_DEPTH = 8_000, 16
# Of a list as JSON, and when that is compressed.
_MOST_BYTES, _PACKED_BYTES = 1_000_000, 40_000
# The same of the lists of all specialists together.
_ALL_FINDINGS_BYTES, _ALL_TEMPLATES_BYTES = 200_000, 100_000
# How many different reasons are told why something could not be read, and how many files are named.
_REASONS, _NAMED_FILES = 3, 5


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template of log lines: how many there are, when the `first` and `last` were written, and one of them."""

    id: str | int = ""
    template: str
    count: int = 0
    first: str | None = None
    last: str | None = None
    example: str = ""


class SpecialistAnswer(msgspec.Struct, frozen=True, kw_only=True):
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


def refusal(task: Task | None) -> str | None:
    """Why a specialist's task has no answer, None when it has one."""
    if task is None:
        return "it gave no answer"
    if task.status.state == "TASK_STATE_COMPLETED":
        return None
    said = task.status.message.text.strip() if task.status.message is not None else ""
    word = task.status.state.removeprefix("TASK_STATE_").replace("_", " ").lower() or "nowhere"
    return f"its task ended as {shorten(word)}" + (f": {shorten(said, _LONGEST_NOTE)}" if said else "")


def answer_of(agent: str, task: Task | None, error: str | None, notes: list[str]) -> SpecialistAnswer:
    """The answer in a specialist's task. `notes` are what is to be told besides."""
    given = _Given(task, finished=error is None)
    told = list(notes)
    readable = _read(given.findings, "finding", _finding, told)
    findings = within_bounds(surest_first(_with_small_evidence(readable, told)), _MOST_FINDINGS, "findings", told)
    templates = _read(given.templates, "template", _template, told)
    templates = within_bounds(templates, _MOST_TEMPLATES, "templates", told)
    unread = len(given.findings) - len(readable)
    text = _shortened(given.text(told_as_findings=given.has_findings and (bool(readable) or not unread)), told)
    told += _files(given.files)
    if given.odd_parts:
        told.append(
            f"{given.odd_parts} of the parts of its answer could not be read: neither text nor data nor a file."
        )
    said = within_bounds(_read(given.notes, "note", _note, told), _MOST_NOTES, "notes", told)
    return SpecialistAnswer(
        agent=agent,
        error=error and shorten(error, _LONGEST_NOTE),
        gave_findings=given.has_findings,
        findings=findings,
        unread=unread,
        templates=templates,
        text=text,
        notes=[*told, *said],
    )


def together(answers: list[SpecialistAnswer], notes: list[str]) -> tuple[list[Finding], list[Template]]:
    """What all answers found, in order of time, and their templates: as much as fits into one event."""
    found = surest_first([finding for answer in answers for finding in answer.findings])
    findings = within_bounds(found, len(found), "findings", notes, packed=_ALL_FINDINGS_BYTES)
    templates = [template for answer in answers for template in answer.templates]
    return in_order(findings), within_bounds(templates, len(templates), "templates", notes, packed=_ALL_TEMPLATES_BYTES)


class _Given:
    """What is in the artifacts of a task and, if it has `finished` well, in its last message."""

    def __init__(self, task: Task | None, *, finished: bool) -> None:
        self.has_findings = False
        self.findings: list[Any] = []
        self.templates: list[Any] = []
        self.notes: list[Any] = []
        self.files: list[str] = []
        self.odd_parts = 0
        self._texts: list[tuple[str, str]] = []
        if task is None:
            return
        for artifact in task.artifacts:
            self._take(artifact.parts, artifact.name or artifact.artifact_id)
        # What a task that did not finish well says last is why it did not.
        if finished and task.status.message is not None:
            self._take(task.status.message.parts, "")

    def text(self, *, told_as_findings: bool) -> str:
        """The texts as one. A `report` of what is told as findings tells it once more, and is left out."""
        kept = [text for name, text in self._texts if not (told_as_findings and name == "report")]
        return "\n\n".join(dict.fromkeys(kept))  # The last message often repeats an artifact.

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
                self.notes += _as_list(part.data.get("notes"))
            elif part.data is not None:
                self._take_text("", _fenced(part.data))
            elif part.raw is not None or part.url is not None:
                self.files.append(part.filename or "without a name")
            else:
                self.odd_parts += 1
        self._take_text(name, streamed)

    def _take_text(self, name: str, text: str) -> None:
        if text.strip():
            self._texts.append((name, text.strip()))


def _read(given: list[Any], noun: str, read: Callable[[Any], T], notes: list[str]) -> list[T]:
    """What of `given` can be read. A note tells how much cannot, and why."""
    kept: list[T] = []
    reasons: dict[str, None] = {}
    for each in given:
        try:
            kept.append(read(each))
        except RequestError as error:
            if len(reasons) <= _REASONS:
                reasons[str(error)] = None
    if unread := len(given) - len(kept):
        told = list(reasons)
        more = "; and for other reasons" if len(told) > _REASONS else ""
        nouns = noun if len(given) == 1 else f"{noun}s"
        notes.append(f"{unread} of {len(given)} {nouns} could not be read: {'; '.join(told[:_REASONS])}{more}.")
    return kept


def _files(names: list[str]) -> list[str]:
    if not names:
        return []
    listed = ", ".join(shorten(name) for name in names[:_NAMED_FILES])
    more = f" and {len(names) - _NAMED_FILES} more" if len(names) > _NAMED_FILES else ""
    return [f"Its answer has files, which are not shown here: {listed}{more}."]


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
