"""What a run looks like in a terminal: the lines that its events add, the steps that are open, and its texts.

It knows no terminal. All texts are safe to show.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tailrace.cli.escaping import one_line, safe
from tailrace.client import Event
from tailrace.client.event import GAP, SNAPSHOT
from tailrace.events import Metadata, encode
from tailrace.naming import shown_name

# Data of up to so many characters is shown as it is.
_SMALL = 160


def json_line(value: object) -> str:
    """The data as JSON in a line; "" if it is too long for that."""
    text = safe(encode(value).decode())
    return text if len(text) <= _SMALL else ""


@dataclass
class Step:
    """A node or a tool that works. Times are in ms since the epoch, by the server's clock."""

    title: str
    since: int
    depth: int = 0
    note: str = ""
    done: float | None = None
    total: float | None = None


@dataclass
class RunView:
    """A run so far. `now` is the time of its last event, by the server's clock."""

    state: str = ""
    cursor: int = 0
    now: int = 0
    steps: dict[str, Step] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    message: str = ""

    def add(self, event: Event) -> list[str]:
        """Add an event, and return the lines that it adds to what is shown."""
        self.cursor = max(self.cursor, event.seq or 0)
        self.state = event.state or self.state
        details = event.details
        if isinstance(details, Metadata):
            self.now = max(self.now, details.ts)
        kind = event.kind
        if kind in ("node_start", "tool_start") and details.step:
            around = self.steps.get(details.parent or "")
            depth = around.depth + 1 if around is not None else 0
            self.steps[details.step] = Step(self._title(event), self.now, depth)
            return []
        if kind in ("node_end", "tool_complete"):
            return self._ended(event)
        if event.artifact:
            return self._written(event)
        if kind == "route":
            asks = f"{one_line(event.agent, 40)} asks"
            return [f"{asks} {one_line(each.agent, 40)}: {one_line(each.reason)}" for each in details.targets or []]
        if kind == "attempt":
            for step in details.supersedes or []:
                self.steps.pop(step, None)
            reason = one_line(details.reason or event.text)
            return [] if reason == "reply" else [f"another process continues the run ({reason})"]
        if kind == "handoff":
            return [] if details.reason == "sleep" else ["the process hands the run on"]
        if kind == GAP and event.gap:
            return [f"events {event.gap[0]} to {event.gap[1]} are gone"]
        if kind == SNAPSHOT:
            return self._replaced(event)
        if kind == "state" or event.ended or event.waits:
            self.message = safe(event.text)
            return []
        return self._progressed(event) if kind == "progress" else []

    @property
    def answer(self) -> str:
        """The text of the artifact `response`, else of all."""
        return self.texts.get("response") or "\n\n".join(filter(None, self.texts.values()))

    def _title(self, event: Event) -> str:
        word = "tool " if event.kind.startswith("tool") else ""
        return f"{one_line(event.agent, 40)} · {word}{one_line(shown_name(event.details.name or ''), 60)}"

    def _ended(self, event: Event) -> list[str]:
        details = event.details
        step = self.steps.pop(details.step or "", None) or Step(self._title(event), self.now)
        if details.interrupted:
            return []
        if details.error:
            return [f"✗ {step.title}: {one_line(details.error)}"]
        took_s = (self.now - step.since) / 1000
        return [f"✓ {step.title}" + (f"  {took_s:.1f} s" if took_s >= 0.05 else "")]

    def _written(self, event: Event) -> list[str]:
        name, text = safe(event.artifact), safe(event.text)
        if event.kind != "token":
            return [" ".join(filter(None, [f"→ {one_line(event.artifact)}", *map(json_line, event.data)]))]
        self.texts[name] = self.texts.get(name, "") + text if event.append else text
        return []

    def _progressed(self, event: Event) -> list[str]:
        details = event.details
        step = self.steps.get(details.step or "") or self.steps.get(details.parent or "")
        text = one_line(event.text)
        if step is None:
            return [f"{one_line(event.agent, 40)}: {text}" if event.agent else text] if text else []
        step.note, step.done, step.total = text, details.done, details.total
        counts = bool(details.total) and details.done != details.total
        return [f"  {step.title}: {text}"] if text and not counts else []

    def _replaced(self, event: Event) -> list[str]:
        first = not self.texts and not self.steps and not self.message
        self.steps.clear()
        self.texts.clear()
        if event.task is not None:
            for artifact in event.task.artifacts:
                text = "".join(part.text for part in artifact.parts if part.text is not None)
                if text:
                    self.texts[safe(artifact.name or artifact.artifact_id)] = safe(text)
            self.message = safe(event.task.message)
        return [] if first else ["this server cannot resume a stream: what happened in between is not shown"]
