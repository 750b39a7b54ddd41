"""Writes a short report about a round with violations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.chaos.history import History, Violation
from tests.chaos.inspector import META, Entry

# The fields of an event's metadata that are shown besides its kind and its step.
_SHOWN = ("name", "reason", "supersedes", "checkpoint", "asked", "origin", "error", "interrupted")
# How many of a reader's newest connections are shown.
_CONNECTIONS = 12


def keep(
    folder: Path, seed: int, number: int, journal: list[str], histories: list[History], violations: list[Violation]
) -> None:
    """Write the violations and faults of the round `number`, and the histories of the tasks with violations."""
    lines = [f"seed {seed}, round {number}", "", *map(str, violations), "", *journal]
    for history in histories:
        if any(violation.task in ("", history.task) for violation in violations):
            lines += ["", *_task_lines(history)]
    (folder / f"round-{number}.txt").write_text("\n".join(lines) + "\n")


def _task_lines(history: History) -> list[str]:
    lines = [f"task {history.task}, {history.shape}, attempts by process {history.pids}"]
    lines += [_entry_line(entry, history.agent) for entry in history.entries]
    lines += [f"  cancel {history.cancel}, replies {history.replies}, delegations {history.delegations}"]
    lines += [f"  {saved}" for saved in history.saved] + [f"  {run}" for run in history.runs]
    for reader in history.readers:
        lines.append(f"  reader {reader.name}, a2a {reader.a2a}, finished {reader.finished}")
        for visit in reader.visits[-_CONNECTIONS:]:
            seqs = [seq for seq, _ in visit.shown]
            shown = f"{seqs[0]}..{seqs[-1]} ({len(seqs)})" if seqs else "nothing"
            lines.append(f"    from {visit.cursor}: {visit.status}, {shown}, missed {visit.missed}, {visit.end}")
    return lines


def _entry_line(entry: Entry, agent: str) -> str:
    (payload,) = entry.body.values()
    meta: dict[str, Any] = payload["metadata"][META]
    parts = (payload.get("status", {}).get("message") or payload.get("artifact") or {}).get("parts", [])
    fields = [entry.state, *(f"{name}={meta[name]!r}" for name in _SHOWN if meta.get(name)), *map(str, parts)]
    if "artifact" in payload:
        fields.insert(0, f"{payload['artifact']['artifactId']}{' +' if payload.get('append') else ''}")
    if meta["agent"] != agent:
        fields.insert(0, meta["agent"])
    step = str(meta.get("step") or "")[:8]
    return f"  {entry.seq:4} a{entry.attempt} {meta['kind']:13} {step:8} {' '.join(filter(None, fields))}"[:400]
