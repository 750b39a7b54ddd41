"""`python -m tests.score [SEED …]` (`make score`): what the analysts and their peers find, in one run, as Markdown.

Logs: the recordings of tests/recordings, whose lines are labelled. Metrics: the generators of series.py with these
seeds (0 and 1, if none is named), judged by judging.py. Nothing passes or fails.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from tests.score.incidents import told
from tests.score.judging import judge
from tests.score.metric_analyst import found_in
from tests.score.peers import PEERS
from tests.score.series import Recording, recordings
from tests.score.templates import all_recordings, drain3_lines, drain3_messages, grouping, ours

_GROUPERS = {"ours": ours, "drain3, lines": drain3_lines, "drain3, messages": drain3_messages}


def logs() -> Iterator[str]:
    """Yield the table of the recordings."""
    yield f"| recording | lines | events | {' | '.join(_GROUPERS)} | incidents found | extra alarms |"
    yield "|---" + "|---:" * (len(_GROUPERS) + 4) + "|"
    of: dict[str, list[float]] = {name: [] for name in _GROUPERS}
    seconds: dict[str, float] = defaultdict(float)
    incidents = found = extra = lines = 0
    for recording in all_recordings():
        cells = []
        for name, grouper in _GROUPERS.items():
            result = grouping(recording, grouper)
            of[name].append(result.accuracy)
            seconds[name] += result.seconds
            cells.append(f"{result.accuracy:.2f}")
        judged = told(recording)
        incidents, found, extra = incidents + judged.incidents, found + judged.found, extra + judged.extra
        lines += len(recording.lines)
        events = len({recording.events[line] for line in recording.heads})
        yield (
            f"| {recording.name} | {len(recording.lines):,} | {events} | {' | '.join(cells)} | "
            f"{judged.found} of {judged.incidents} | {judged.extra} |"
        )
    means = " | ".join(f"**{statistics.mean(of[name]):.2f}**" for name in _GROUPERS)
    yield f"| **mean, or sum** | {lines:,} | | {means} | {found} of {incidents} | {extra} |"
    speeds = " | ".join(f"{lines / seconds[name]:,.0f}" for name in _GROUPERS)
    yield f"| lines a second | | | {speeds} | | |"


def metrics(seeds: Sequence[int]) -> Iterator[str]:
    """Yield the table of the generated series."""
    finders: dict[str, Callable[[Recording], list[tuple[float, float]]]] = {"ours": found_in, **PEERS}
    made = list(recordings(seeds))
    tried = Counter(recording.fault for recording in made)
    samples = sum(len(recording.values) for recording in made)
    found: Counter[tuple[str, str]] = Counter()
    extra: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    # One after the other: numpy's threads of one peer use CPU time for a while after its work.
    for name, finder in finders.items():
        for recording in made:
            start = time.process_time()
            judged = judge(recording, finder(recording))
            seconds[name] += time.process_time() - start
            found[name, recording.fault] += judged.found if recording.fault else judged.extra > 0
            extra[name] += judged.extra if recording.fault else 0
    yield f"| | {' | '.join(finders)} |"
    yield "|---" + "|---:" * len(finders) + "|"
    yield f"| clean series alarmed | {_row(found[name, ''] for name in finders)} of {tried['']} |"
    faults = [fault for fault in tried if fault]
    for fault in faults:
        yield f"| {fault} | {_row(found[name, fault] for name in finders)} of {tried[fault]} |"
    whole = sum(tried[fault] for fault in faults)
    yield f"| **faults found** | {_row(sum(found[name, fault] for fault in faults) for name in finders)} of {whole} |"
    yield f"| extra alarms beside them | {_row(extra[name] for name in finders)} |"
    yield f"| samples a second | {_row(round(samples / seconds[name]) for name in finders)} |"


def _row(values: Iterable[int]) -> str:
    return " | ".join(f"{value:,}" for value in values)


def main() -> None:
    seeds = [int(seed) for seed in sys.argv[1:]] or [0, 1]
    start = time.monotonic()
    for line in (*logs(), "", *metrics(seeds), ""):
        print(line, flush=True)
    day = datetime.now(UTC).date().isoformat()
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    took = time.monotonic() - start
    print(f"{day}, {machine}; seeds {' '.join(map(str, seeds))}; {took:.0f} s in all.")


if __name__ == "__main__":
    main()
