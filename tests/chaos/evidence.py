"""The evidence of a violating round, short enough to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.chaos.history import History, Violation
from tests.chaos.inspector import META, Entry

# The metadata of an event that is shown beside its kind and its step.
_SHOWN = ("name", "reason", "supersedes", "checkpoint", "asked", "origin", "error", "interrupted")
# How many of a reader's newest connections are shown.
_CONNECTIONS = 12


def keep(
    folder: Path, seed: int, number: int, journal: list[str], histories: list[History], found: list[Violation]
) -> None:
    """Write what happened in the round `number`, and everything about the tasks whose promises were broken."""
    lines = [f"seed {seed}, round {number}", "", *map(str, found), "", *journal]
    for history in histories:
        if any(violation.task in ("", history.task) for violation in found):
            lines += ["", *_of_task(history)]
    (folder / f"round-{number}.txt").write_text("\n".join(lines) + "\n")


def _of_task(history: History) -> list[str]:
    lines = [f"task {history.task}, {history.shape}, attempts by process {history.pids}"]
    lines += [_of_entry(entry, history.agent) for entry in history.entries]
    lines += [f"  cancel {history.cancel}, replies {history.replies}, delegations {history.delegations}"]
    lines += [f"  {saved}" for saved in history.saved] + [f"  {run}" for run in history.runs]
    for reader in history.readers:
        lines.append(f"  reader {reader.name}, a2a {reader.a2a}, finished {reader.finished}")
        for visit in reader.visits[-_CONNECTIONS:]:
            seqs = [seq for seq, _ in visit.shown]
            shown = f"{seqs[0]}..{seqs[-1]} ({len(seqs)})" if seqs else "nothing"
            lines.append(f"    from {visit.cursor}: {visit.status}, {shown}, missed {visit.missed}, {visit.end}")
    return lines


def _of_entry(entry: Entry, agent: str) -> str:
    (what,) = entry.body.values()
    meta: dict[str, Any] = what["metadata"][META]
    parts = (what.get("status", {}).get("message") or what.get("artifact") or {}).get("parts", [])
    said = [entry.state, *(f"{name}={meta[name]!r}" for name in _SHOWN if meta.get(name)), *map(str, parts)]
    if "artifact" in what:
        said.insert(0, f"{what['artifact']['artifactId']}{' +' if what.get('append') else ''}")
    if meta["agent"] != agent:
        said.insert(0, meta["agent"])
    step = str(meta.get("step") or "")[:8]
    return f"  {entry.seq:4} a{entry.attempt} {meta['kind']:13} {step:8} {' '.join(filter(None, said))}"[:400]
