"""What each larger part of the analysts costs in lines, and what they say without it: `python -m tests.score.parts`.

A part is taken out by putting what does nothing in its place, in a process of its own. The score has no short
recordings, which people paste, so steps in such ones are counted beside it. Parts that the score does not need at all
are there for what it does not have; their tests say for what.
"""

from __future__ import annotations

import inspect
import random
import re
import statistics
from collections.abc import Callable, Iterator
from itertools import product
from multiprocessing import get_context
from types import ModuleType
from typing import Any

import msgspec

import log_analyst.findings as log_findings
import log_analyst.graph as log_graph
import metric_analyst.detectors.detect as detect
from log_analyst.detectors import changes, comparing, failed_requests, histories, newcomers, trends, window
from log_analyst.readers import (
    documents,
    fields,
    formats,
    header,
    masking,
    mining,
    reading,
    reconciling,
    records,
    shapes,
    sources,
    understanding,
)
from log_analyst.readers import paths as routes
from metric_analyst.detectors import active, counter, drift, flat_line, measure, reduce, rhythm, robust, scan, spike
from tests.score.incidents import told
from tests.score.judging import judge
from tests.score.metric_analyst import found_in
from tests.score.series import MONDAY, Recording, recordings
from tests.score.templates import accuracy, all_recordings, ours

_PARSERS = formats.parsers
_NEVER = re.compile("(?!)")
_MINUTE = 60.0


class Part(msgspec.Struct, frozen=True):
    """A part, and the `names` to set in `place` without it.

    Its code is `of`: modules, functions, names of functions in `place`; and `lines` more.
    """

    name: str
    of: tuple[Any, ...]
    lines: int
    place: ModuleType | type
    names: dict[str, Any]

    def cost(self) -> int:
        """Return its lines."""
        code = (getattr(self.place, each) if isinstance(each, str) else each for each in self.of)
        return self.lines + sum(len(inspect.getsourcelines(each)[0]) for each in code)

    def remove(self) -> None:
        """Take the part out of this process."""
        for name, value in self.names.items():
            assert hasattr(self.place, name), name
            setattr(self.place, name, value)


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _none(*_: Any, **__: Any) -> list[Any]:
    return []


def _yes(*_: Any, **__: Any) -> bool:
    return True


def _no(*_: Any, **__: Any) -> bool:
    return False


def _part(name: str, place: ModuleType | type, attribute: str, instead: Any, *of: Any, lines: int = 0) -> Part:
    return Part(name, of, lines, place, {attribute: instead})


METRICS = [
    _part("daily rhythm", reduce, "rhythm_of", lambda times, values: ([], False), rhythm),
    _part("— weekends", rhythm, "WITH_WEEKEND", 1e18, "_weekends", "_roughness", rhythm.is_weekend, lines=12),
    _part("— a rhythm that multiplies", rhythm, "_noisier_when_high", _no, "_noisier_when_high", lines=3),
    _part("— a steady rise under it", rhythm, "_rise", lambda hourly: 0.0, "_rise", lines=2),
    _part("counters are read as rates", detect, "is_counter", _no, counter),
    _part("spikes", detect, "spikes", _none, spike),
    _part("— the gap to other heights", spike, "_above", lambda tail, n: spike.TALL, "_above", "_stand_out"),
    _part("— the values as recorded", spike, "RECORDED", 1e12, lines=6),
    _part("— an end is no spike", spike, "_recorded", _yes, "_recorded"),
    _part("flat lines: stuck", flat_line, "_stuck", _nothing, "_stuck", lines=9),
    _part("flat lines: missing samples", flat_line, "_missing", _nothing, "_missing"),
    _part("drift", detect, "drifts", _none, drift),
    _part("— that begins late", drift, "_late", _nothing, "_late", "_hinge"),
    _part("— no time of day is one", drift, "_straight_enough", _yes, "_straight_enough"),
    _part("level shifts", detect, "level_shifts", _none, scan, active),
    _part("— activity after rest", scan, "activity", _nothing, active),
    _part("— recordings of few samples", scan, "_of_few", _none, "_of_few"),
    Part("— the quieter side's noise", (), 10, scan, {"QUIET": 0.0, "QUIET_OF_FEW": 0.0}),
    _part("— other weekends than UTC's", rhythm, "BORDERS", (0,), "_border", lines=3),
    _part("— ordinary jumps", scan, "ORDINARY", 10**9, lines=6),
    _part("— no part of a larger one", scan, "_part_of", _no, "_part_of"),
    _part("— a level of stairs", scan, "_level", lambda values, before: robust.median(values), "_level"),
    _part("— a jump of two days", scan, "_is_recorded", _yes, "_is_recorded"),
    _part("the numbers of a finding", detect, "measured", lambda series, signal, change: change, measure),
]


def _but(format_name: str) -> Callable[[], dict[str, formats.Parser]]:
    """Return what makes the parsers of a log without one."""
    return lambda: {name: parser for name, parser in _PARSERS().items() if name != format_name}


LOGS = [
    _part("JSON lines", reading, "parsers", _but("JSON lines"), records.json_line, fields),
    _part("logfmt", reading, "parsers", _but("logfmt"), records.logfmt),
    _part("IIS and CloudFront", reading, "parsers", _but("W3C access log"), records.W3cLog),
    _part("access logs", reading, "parsers", _but("access log"), lines=3),
    _part("access logs of other layouts", reading, "parsers", _but("other access log"), formats.request_line),
    _part("JSON documents", sources, "json_lines_of", _nothing, documents),
    _part("headers", reading, "header_of", _nothing, header),
    _part("masking", masking.Masker, "__missing__", lambda self, token: token, masking),
    _part("reconciling", mining.Miner, "_reconcile", _nothing, reconciling, "_reconcile"),
    _part("shapes: queries and commands", shapes, "_SAID", frozenset(), lines=6),
    _part("shapes: letters behind a value", shapes, "_FLAGS", _NEVER, lines=4),
    _part("shapes: `query[A]`", shapes, "_INDEXED", _NEVER, lines=3),
    _part("shapes: `user@host`", shapes, "_USER_AT", _NEVER, lines=3),
    _part("shapes: names of hosts and files", shapes, "_HOST", _NEVER, lines=4),
    _part("routes of a scanner", mining.Miner, "_collapse_routes", _nothing, routes, "_collapse_routes"),
    _part("traces that were wrapped", reading, "_unwrapped", lambda entry, *_: (entry, False), "_unwrapped"),
    _part("logs that were not understood", log_graph, "misread", lambda *_: ("", ""), understanding),
    _part("failed requests", log_graph, "failures_in", _none, failed_requests),
    _part("new hosts and callers", log_graph, "newcomers", _none, newcomers),
    _part("trends", log_graph, "trends", _none, trends),
    _part("lone errors", log_graph, "lone_errors", _none, comparing.lone_errors),
    _part("the window: silence", window, "_silent", _none, "_silent", window.pause_lengths),
    _part("the window: a surge of all lines", window, "_surges", _none, "_surges"),
    _part("the counts' own variance", window, "dispersion", lambda series, least=1.0: 1.0, window.dispersion),
    _part("rare lines", changes, "rare", _nothing, changes.rare, changes.unusually_many),
    _part("bursts", changes, "burst", _nothing, changes.burst, "_unprecedented"),
    _part("what is gone", changes, "gone", _nothing, changes.gone),
    _part("echoes", comparing, "_without_echoes", lambda candidates: candidates, "_without_echoes"),
    _part(
        "traffic of other lines",
        histories.Histories,
        "_traffic_beside",
        lambda self, row: [1.0] * (self.end - self.begin),
        "_traffic_beside",
        lines=14,
    ),
    _part("routes of one status are one finding", log_findings, "_MOST_ROUTES", 10**9, "_groups"),
]


def short() -> Iterator[Recording]:
    """Yield recordings of 20 to 180 samples, a minute apart, each with a step of 3 to 8 sigma that stays or returns."""
    for seed, n, sigmas, stays in product(range(8), (20, 30, 40, 60, 120, 180), (3, 5, 8), (True, False)):
        rng = random.Random(f"{seed} {n} {sigmas} {stays}")
        begin = int(n * rng.uniform(0.35, 0.65))
        end = n if stays else begin + max(5, n // 5)
        values = [100 + rng.gauss(0, 4) + 4 * sigmas * (begin <= at < end) for at in range(n)]
        times = [MONDAY + _MINUTE * at for at in range(n)]
        yield Recording("short", "latency", _MINUTE, times, values, "a step", [(times[begin], times[end - 1])])


def of_metrics(at: int) -> list[float]:
    """Return the found faults, extra alarms, alarmed clean series and found short steps without a part, or -1: none."""
    if at >= 0:
        METRICS[at].remove()
    found = extra = alarmed = 0
    for recording in recordings([0, 1]):
        judged = judge(recording, found_in(recording))
        found += judged.found
        extra += judged.extra if recording.fault else 0
        alarmed += not recording.fault and judged.extra > 0
    return [found, extra, alarmed, sum(judge(each, found_in(each)).found for each in short())]


def of_logs(at: int) -> list[float]:
    """Return the grouping accuracy, the incidents found and the extra alarms without a part, or -1: none."""
    if at >= 0:
        LOGS[at].remove()
    made = all_recordings()
    judged = [told(recording) for recording in made]
    grouping = statistics.mean(accuracy(recording, ours(recording)) for recording in made)
    return [round(grouping, 3), sum(each.found for each in judged), sum(each.extra for each in judged)]


def table(parts: list[Part], columns: str, figures: Callable[[int], list[float]]) -> Iterator[str]:
    """Yield the rows: a part, its lines, and by how much each figure differs without it."""
    yield f"| without | lines | {columns} |"
    yield "|---" + "|---:" * (columns.count("|") + 2) + "|"
    # A process for each, because a part cannot be put back.
    with get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        whole, *without = pool.map(figures, range(-1, len(parts)), chunksize=1)
    yield f"| nothing | | {' | '.join(f'{value:g}' for value in whole)} |"
    for part, found in zip(parts, without, strict=True):
        cells = [f"{now - usual:+.3g}" if now != usual else "" for now, usual in zip(found, whole, strict=True)]
        yield f"| {part.name} | {part.cost()} | {' | '.join(cells)} |"


if __name__ == "__main__":
    print(
        "\n".join(table(METRICS, "faults found | extra alarms | clean alarmed | short steps found", of_metrics)), "\n"
    )
    print("\n".join(table(LOGS, "grouping | incidents found | extra alarms", of_logs)))
