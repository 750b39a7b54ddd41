"""What the scenarios have shown, requirement by requirement."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tailrace.conformance.rules import Broken

KEPT, BROKEN, OPEN = "kept", "broken", "open"
_ENDED = "the scenario ended before"
# The sections that are about some interfaces only. All of section 5 is about A2A.
_ABOUT = {"5.4": ("send", "rest-send"), "5.6": ("rest", "rest-send"), "5.7": ("0.3",), "6": ("browser",)}


@dataclass(frozen=True)
class Played:
    """One scenario over one interface: what it has shown to be `broken`, or why it was `left` out."""

    name: str
    via: str
    checks: Sequence[str]
    broken: Sequence[Broken] = ()
    left: str = ""

    @property
    def result(self) -> str:
        """`kept`, `broken` or `open`."""
        return BROKEN if self.broken else OPEN if self.left else KEPT


@dataclass
class Requirement:
    """A requirement of PROTOCOL.md: in which scenarios it was kept, what broke it, and why it stayed open."""

    number: str
    kept: list[Played] = field(default_factory=list)
    broken: list[tuple[Played, Broken]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        """`broken` if any scenario has shown that, else `kept` if any has, else `open`."""
        return BROKEN if self.broken else KEPT if self.kept else OPEN

    @property
    def why(self) -> str:
        """What the result rests on, in a line."""
        if self.broken:
            played, broken = self.broken[0]
            return f"{played.via}: {str(broken).partition(') ')[2]}"
        if self.kept:
            vias = list(dict.fromkeys(each.via for each in self.kept))
            return f"{len(self.kept)} times, via {', '.join(vias)}"
        return min(self.open, key=lambda why: not why.startswith(_ENDED), default="no scenario")


def requirements(played: Sequence[Played]) -> list[Requirement]:
    """The requirements that the scenarios are about, in the order of their numbers.

    A scenario that was broken shows nothing about the others that it checks: it has ended before.
    """
    found: dict[str, Requirement] = defaultdict(lambda: Requirement(""))
    for each in played:
        for number in each.checks:
            if not concerns(number, each.via):
                continue
            requirement = found[number]
            if each.result == KEPT:
                requirement.kept.append(each)
            else:
                requirement.open.append(f"{_ENDED} ({each.broken[0].rule})" if each.broken else each.left)
        for broken in each.broken:
            found[broken.rule].broken.append((each, broken))
    for number, requirement in found.items():
        requirement.number = number
    return sorted(found.values(), key=_order)


def concerns(number: str, via: str) -> bool:
    """Whether a requirement is about this interface: some sections of PROTOCOL.md are about one kind only."""
    for section, vias in _ABOUT.items():
        if number.startswith(section):
            return via in vias
    return via != "browser" if number.startswith("5.") else True


def verdict(all_of_them: Sequence[Requirement]) -> str:
    """What the server is, in a sentence."""
    results = [each.result for each in all_of_them]
    kept, broken, left = (results.count(each) for each in (KEPT, BROKEN, OPEN))
    counts = f"{kept} requirements kept, {broken} broken, {left} not shown"
    if broken:
        return f"It is not a resumable server: {counts}."
    return (
        f"It is a resumable server, as far as the scenarios show: {counts}."
        if kept
        else f"Nothing was shown: {counts}."
    )


def markdown(all_of_them: Sequence[Requirement]) -> str:
    """The table in Markdown."""
    rows = [f"| {each.number} | {each.result} | {_cell(each.why)} |" for each in all_of_them]
    return "\n".join(["| requirement | | |", "|---|---|---|", *rows])


def lines(all_of_them: Sequence[Requirement]) -> str:
    """The table as lines of text."""
    return "\n".join(f"{each.number:6} {each.result:7} {one_line(each.why)}" for each in all_of_them)


def one_line(text: str) -> str:
    """The text as one line that commands no terminal: it may be a server's."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in " ".join(text.split()))


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|")[:200]


def _order(requirement: Requirement) -> tuple[list[int], str]:
    return [int(each) for each in re.findall(r"\d+", requirement.number)], requirement.number
