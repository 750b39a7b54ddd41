"""Scenarios as they are written: `scenarios/*.toml`, in the words of README.md."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tailrace.conformance.interfaces import VIAS

FOLDER = Path(__file__).parent / "scenarios"
# Each word of a step, and what may be said with it.
_CHECKS = {"from", "to", "text", "state", "frames", "kinds", "closed", "gap", "retry", "asks"}
WORDS: dict[str, set[str]] = {
    "create": {"text", "key", "same", "refused"},
    "open": {"stream", "cursor", "place", "refused", "status", "who"},
    "read": {"stream", "until", *_CHECKS},
    "follow": {"cut_every", *_CHECKS},
    "cut": {"stream"},
    "reply": {"text", "key", "stream", "cursor", "refused"},
    "cancel": {"refused"},
    "release": {"gate"},
    "get": {"state", "text", "who", "refused"},
    "card": set(),
    "request": {"method", "path", "body", "size", "headers", "status"},
}


@dataclass(frozen=True)
class Scenario:
    """One scenario. It is played once for each of `via`; `checks` are the requirements that it is about.

    `any_text` says that it needs no word of the vocabulary: any text that begins a task of some events will do.
    """

    name: str
    checks: list[str]
    steps: list[dict[str, Any]]
    via: list[str] = field(default_factory=lambda: list(VIAS))
    needs: str = ""
    any_text: bool = False

    def __post_init__(self) -> None:
        if not self.checks or not self.steps or not set(self.via) <= set(VIAS):
            raise ValueError(f"{self.name}: it needs checks, steps, and ways among {VIAS}")
        for step in self.steps:
            word = step.get("do")
            if word not in WORDS:
                raise ValueError(f"{self.name}: there is no step {word!r}")
            if unknown := step.keys() - WORDS[word] - {"do", "rule"}:
                raise ValueError(f"{self.name}: {word} knows no {sorted(unknown)}")


def scenarios(folder: Path = FOLDER) -> Iterator[Scenario]:
    """All scenarios. Raises ValueError, TypeError where one is not as it should be."""
    known = {each.name for each in fields(Scenario)}
    for path in sorted(folder.glob("*.toml")):
        for given in tomllib.loads(path.read_text())["scenario"]:
            if unknown := given.keys() - known:
                raise ValueError(f"{path.name}: {given.get('name')}: a scenario has no {sorted(unknown)}")
            yield Scenario(**given)
