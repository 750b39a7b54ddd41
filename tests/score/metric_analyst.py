"""The metric analyst's score on the generators: `python -m tests.score.metric_analyst [SEED …]`."""

from __future__ import annotations

import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator

from metric_analyst.detectors.detect import detect
from metric_analyst.findings import SeriesChange, matters
from metric_analyst.readers.series import make_series
from metric_analyst.readers.table import Column
from tests.score.judging import judge
from tests.score.series import Recording, recordings


def found_in(recording: Recording) -> list[tuple[float, float]]:
    """Return the start and the end of each change that the analyst would report."""
    column = Column(recording.name, array("d", recording.times), array("d", recording.values))
    made = make_series(recording.name, column, unit="")
    assert made is not None
    work = detect(made)
    while True:
        try:
            next(work)
        except StopIteration as end:
            series, changes = end.value
            return [(c.start, c.end) for c in changes if matters(SeriesChange(series, c))]


def score(seeds: Iterable[int]) -> Iterator[str]:
    """Yield the table's lines: found by kind of fault, clean series alarmed, extra alarms, samples a second."""
    tried: Counter[tuple[str, str]] = Counter()
    found: Counter[tuple[str, str]] = Counter()
    extra = samples = 0
    spent = 0.0
    for recording in recordings(seeds):
        begun = time.thread_time()
        judged = judge(recording, found_in(recording))
        spent += time.thread_time() - begun
        samples += len(recording.values)
        key = (recording.fault or "clean, alarmed", recording.kind)
        tried[key] += 1
        found[key] += judged.found if recording.fault else judged.extra > 0
        extra += judged.extra if recording.fault else 0
    for fault in dict.fromkeys(fault for fault, _ in tried):
        of = [key for key in tried if key[0] == fault]
        notable = [key for key in of if len(of) > 1 and (found[key] > 0) == (fault == "clean, alarmed")]
        kinds = ", ".join(f"{kind} {found[fault, kind]}" for _, kind in notable)
        yield f"{fault}: {sum(found[key] for key in of)} of {sum(tried[key] for key in of)}" + f"  ({kinds})"
    of = [key for key in tried if key[0] != "clean, alarmed"]
    yield f"found in all: {sum(found[key] for key in of)} of {sum(tried[key] for key in of)}; extra alarms: {extra}"
    yield f"{samples / spent:,.0f} samples a second"


if __name__ == "__main__":
    print("\n".join(score([int(seed) for seed in sys.argv[1:]] or range(5))))
