"""Grouping accuracy: how well templates agree with the statements of the source that wrote the lines.

A line counts if the lines with its event are exactly those with its template (Zhu et al., "Tools and Benchmarks for
Automated Log Parsing", ICSE-SEIP 2019). Lines that continue an entry are not counted.

`python -m tests.score.templates [RECORDING …]` prints the events that are split or merged.
"""

from __future__ import annotations

import re
import sys
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import msgspec

from log_analyst.readers.mining import Miner
from log_analyst.readers.reading import LogReader
from log_analyst.readers.sources import Source
from tailrace.inputs.text import Text
from tests.recordings.store import Recording, names, read

_LATER = 4e9  # seconds since the epoch; no recorded time is after it


class Grouping(msgspec.Struct, frozen=True):
    """The grouping accuracy of one recording (0 to 1), how many templates there are, and the CPU seconds it took."""

    accuracy: float
    templates: int
    seconds: float


def ours(recording: Recording) -> list[str]:
    """Return the template that the log analyst finds for each line."""
    miner, starts = Miner(), []
    for number, record in enumerate(LogReader(Source(recording.name, Text(recording.text), recording.name), _LATER)):
        starts.append(record.start)
        # A stream of its own for each entry, because a template knows the streams that it is in.
        miner.add(record.entry, number, (0, record.start, record.end))
    template_of = {number: template.id for template in miner.templates() for number in template.streams}
    found, offset = [], 0
    for line in recording.lines:
        found.append(template_of[max(0, bisect_right(starts, offset) - 1)])
        offset += len(line) + 1
    return found


def drain3_lines(recording: Recording) -> list[str]:
    """Return the templates of drain3 with its defaults, which gets whole lines."""
    return _drain3(recording, recording.lines)


def drain3_messages(recording: Recording) -> list[str]:
    """Return the templates of drain3 with its defaults, which gets the messages without their headers."""
    header = re.compile(recording.about.header)
    return _drain3(
        recording, [line[found.end() :] if (found := header.match(line)) else line for line in recording.lines]
    )


def _drain3(recording: Recording, texts: Sequence[str]) -> list[str]:
    from drain3 import TemplateMiner
    from drain3.template_miner_config import TemplateMinerConfig

    miner = TemplateMiner(config=TemplateMinerConfig())
    heads = set(recording.heads)
    return [str(miner.add_log_message(text)["cluster_id"]) if at in heads else "" for at, text in enumerate(texts)]


def accuracy(recording: Recording, templates: Sequence[str]) -> float:
    """Return the share of lines whose template has the lines of their event and no others."""
    by_event: dict[str, set[int]] = defaultdict(set)
    by_template: dict[str, set[int]] = defaultdict(set)
    for line in recording.heads:
        by_event[recording.events[line]].add(line)
        by_template[templates[line]].add(line)
    right = sum(len(lines) for lines in by_event.values() if by_template[templates[min(lines)]] == lines)
    return right / len(recording.heads)


def grouping(recording: Recording, grouper: Callable[[Recording], list[str]]) -> Grouping:
    start = time.process_time()
    templates = grouper(recording)
    seconds = time.process_time() - start
    return Grouping(accuracy(recording, templates), len({templates[line] for line in recording.heads}), seconds)


def all_recordings() -> list[Recording]:
    return [read(name) for name in names()]


def wrong(recording: Recording, templates: Sequence[str]) -> Iterator[str]:
    """Yield the events whose lines are not exactly a template's, those of most lines first, with two of their lines."""
    lines_of: dict[str, list[int]] = defaultdict(list)
    for line in recording.heads:
        lines_of[recording.events[line]].append(line)
    events_of: dict[str, set[str]] = defaultdict(set)
    for line in recording.heads:
        events_of[templates[line]].add(recording.events[line])
    for event, lines in sorted(lines_of.items(), key=lambda item: -len(item[1])):
        found = {templates[line] for line in lines}
        others = set().union(*(events_of[template] for template in found)) - {event}
        if len(found) > 1 or others:
            shared = ", ".join(sorted(others)) or "no other"
            yield f"{len(lines):>6} {event}: {len(found)} templates, shared with {shared}"
            yield from (f"       {recording.lines[line][:200]}" for line in (lines[0], lines[-1]))


if __name__ == "__main__":
    for name in sys.argv[1:] or names():
        recorded = read(name)
        by_line = ours(recorded)
        print(f"{name}: {accuracy(recorded, by_line):.3f}", *wrong(recorded, by_line), sep="\n")
