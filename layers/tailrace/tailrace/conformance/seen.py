"""What a step of a scenario has read, and the checks that need more than one frame of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tailrace.conformance.interfaces import Event
from tailrace.conformance.rules import Broken
from tailrace.conformance.wire import Frame


@dataclass
class Seen:
    """The frames that a step has read, from one or several streams."""

    frames: list[Frame] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    gaps: list[dict[str, int]] = field(default_factory=list)

    def text(self, artifact: str = "response") -> str:
        text = ""
        for event in self.events:
            for each in event.body.get("artifacts") or [] if event.form == "task" else []:
                if each["artifactId"] == artifact:
                    text = "".join(part.get("text", "") for part in each["parts"])
            if (update := event.text) and update[0] == artifact:
                text = text + update[1] if update[2] else update[1]
        return text

    @property
    def state(self) -> str | None:
        return next((event.state for event in reversed(self.events) if event.state), None)


def collapsed(frames: list[Frame]) -> list[str]:
    """Return the kinds of the frames in order, without comments and pings. Consecutive events count as one."""

    def kinds() -> Iterator[str]:
        before = ""
        for frame in frames:
            if frame.kind not in ("comment", "ping") and not frame.kind == before == "event":
                yield frame.kind
                before = frame.kind

    return list(kinds())


def check_superseded(before: list[Event], fence: Event, after: list[Event]) -> None:
    """Check that the fence supersedes every step that began before it without an end, and begins again after it."""
    begun = {event.meta["step"] for event in before if event.kind == "node_start"}
    begun -= {event.meta["step"] for event in before if event.kind == "node_end" and not event.meta.get("interrupted")}
    again = {event.meta["step"] for event in after if event.kind == "node_start"}
    if missing := (begun & again) - set(fence.meta["supersedes"]):
        raise Broken("7.3b", f"steps begin again that attempt {fence.meta['attempt']} does not supersede: {missing}")
