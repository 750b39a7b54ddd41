"""Mining: entries become templates, each with its count, its times and the place of an example.

An entry's text is masked, and the texts of one shape are one template. At the end the shapes are reconciled: words that
vary become `<*>`. Headers are no part of this: a template shows the words of its header that all of its lines have.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from hashlib import blake2s
from math import inf
from typing import Any

from log_analyst.grid import Grid
from log_analyst.readers import levels
from log_analyst.readers.entry import Entry
from log_analyst.readers.masking import Masker
from log_analyst.readers.paths import collapsed
from log_analyst.readers.reconciling import reconciled
from log_analyst.readers.shapes import VALUE, Shape, shape_of, shown

# That are kept until they are reconciled; if more than half then remain, further lines share a template for each level.
SHAPES = 20_000
ROUTES = 20_000  # of access logs; after them, requests of new routes are only counted by method and status
ORIGINS = 20_000  # hosts and callers that are counted
REMEMBERED = 50_000  # texts whose template is remembered; others are matched again each time
_HEADS = 20_000  # headers whose words are remembered
_HEADS_OF_ONE = 50  # of one template


@dataclass(slots=True, eq=False)
class Template:
    """A template and its lines.

    `times` are those of its lines, in seconds since the epoch; `streams` are the numbers of the logs that have it. `at`
    is the place of its first line: (number of the source, start, end). `access` is whether it is about requests of an
    access log. A `coarse` template stands for lines of many shapes, so its first time means nothing, and a `whole` one
    for all lines of a log, of which it has only the `series`. A `variant` differs from another template only in a word.
    `head` are the words that the headers of all its lines have. After `count_over`, `series` are its lines in each
    bucket, and `older` and `later` count those before and after.
    """

    level: int
    body: str
    at: tuple[int, int, int]
    access: bool = False
    coarse: bool = False
    whole: bool = False
    variant: bool = False
    head: str | None = None
    count: int = 0
    times: array[float] = field(default_factory=lambda: array("d"))
    streams: set[int] = field(default_factory=set)
    series: list[int] = field(default_factory=list)
    older: int = 0
    later: int = 0
    _heads: set[str] = field(default_factory=set)

    @property
    def text(self) -> str:
        """The template's text: the words of its header, and its masked message."""
        return f"{self.head} {self.body}" if self.head else self.body

    @property
    def id(self) -> str:
        """The template's id, the same in every run."""
        return "t" + blake2s(f"{self.level} {self.text}".encode(errors="replace"), digest_size=5).hexdigest()

    @property
    def first(self) -> float | None:
        """The time of its first line in seconds since the epoch; None if no line has a time."""
        return min(self.times, default=None)

    @property
    def last(self) -> float | None:
        """The time of its last line, as `first`."""
        return max(self.times, default=None)

    def count_over(self, grid: Grid | None) -> None:
        """Count the lines in the buckets of a grid."""
        self.series, self.older, self.later = grid.counts(self.times) if grid else ([], 0, 0)

    def keep_times(self, first: float, last: float) -> int:
        """Drop the times outside `first` to `last` (seconds since the epoch), but not their lines; return how many."""
        timed = len(self.times)
        self.times = _between(self.times, first, last)
        return timed - len(self.times)

    def absorb(self, other: Template) -> None:
        """Add the lines of `other` to this template."""
        self.count += other.count
        self.times.extend(other.times)
        self.streams |= other.streams
        self.coarse = self.coarse or other.coarse
        self.variant = self.variant or other.variant
        self.at = min(self.at, other.at)
        self.add_head(other.head or "")

    def add_head(self, head: str) -> None:
        """Keep the words of the header that `head` has too."""
        if head in self._heads:
            return
        if len(self._heads) < _HEADS_OF_ONE:
            self._heads.add(head)
        words = head.split(" ")
        self.head = head if self.head is None else " ".join(word for word in self.head.split(" ") if word in words)


class Miner:
    """Takes entries one by one with `add`; `templates()` returns their templates.

    The templates' counts add up to `entries`. By its number, `times` has the times of each stream's lines, `requests`
    those of its requests by their status, and `serious` how many lines are warnings or worse. `origins` has a template
    for each host and each caller of a stream: its lines, which are also those of other templates. `remembered` are
    texts, at most `REMEMBERED`, with their level and template.
    """

    def __init__(self) -> None:
        self.times: dict[int, array[float]] = defaultdict(lambda: array("d"))
        self.requests: dict[int, dict[str, array[float]]] = defaultdict(lambda: defaultdict(lambda: array("d")))
        self.serious: Counter[int] = Counter()
        self.origins: dict[tuple[int, str], Template] = {}
        self.entries = 0
        self._masker = Masker()
        self.remembered: dict[tuple[int, str], Template] = {}
        self._shapes: dict[tuple[int, Shape], Template] = {}
        self._routes: dict[tuple[int, Shape], Template] = {}  # a request is a shape of one word
        self._coarse: dict[tuple[int, str], Template] = {}
        self._heads: dict[str, tuple[str, int]] = {}
        self._full = False

    def add(self, entry: Entry, stream: int, at: tuple[int, int, int]) -> None:
        """Add `entry` of a stream to its template; `at` is its place, as a template's."""
        time, level, text, access, header, origin = entry
        head = ""
        if access:
            text = self._masker.request(text)
        elif header:
            head, named = self._heads.get(text[:header]) or self._new_head(text[:header])
            text = self._masker.text(text[header:])
            level = named if level == levels.UNKNOWN else level
        else:
            text = self._masker.text(text)
        template = self.remembered.get((level, text))
        if template is None:
            if len(self.remembered) >= REMEMBERED:
                self.remembered.clear()
            template = self.remembered[level, text] = self._found(level, text, at, access)
        if template.head is not head:
            template.add_head(head)
        template.count += 1
        template.streams.add(stream)
        self.entries += 1
        if time is not None:
            template.times.append(time)
            self.times[stream].append(time)
            if origin:
                self._count_origin(f"{'caller' if access else 'host'} {origin}", time, stream, at)
            if access:
                self.requests[stream][text[-3:]].append(time)
            if template.level >= levels.WARNING:
                self.serious[stream] += 1

    def forget_after(self, moment: float) -> int:
        """Drop the lines later than `moment` (seconds since the epoch); return how many there were."""
        forgotten = 0
        for template in self._all():
            later = template.keep_times(-inf, moment)
            template.count -= later
            forgotten += later
        self.keep_times(-inf, moment)
        self.entries -= forgotten
        return forgotten

    def keep_times(self, first: float, last: float) -> None:
        """Drop the times outside `first` to `last` (seconds since the epoch), but not their lines."""
        groups: list[dict[Any, array[float]]] = [self.times, *self.requests.values()]
        for group in groups:
            for key, times in group.items():
                group[key] = _between(times, first, last)
        for template in (*self.origins.values(), *self._all()):
            template.keep_times(first, last)

    def templates(self) -> list[Template]:
        """Return the templates: by level, then by count, the highest first. No entries can be added afterwards."""
        self._reconcile()
        self._collapse_routes()
        by_text: dict[tuple[int, str], Template] = {}
        for template in sorted(self._all(), key=lambda t: (not t.access, -t.count)):
            if template.count and by_text.setdefault((template.level, template.text), template) is not template:
                by_text[template.level, template.text].absorb(template)
        return sorted(by_text.values(), key=lambda t: (-t.level, -t.count, t.text))

    def _count_origin(self, name: str, time: float, stream: int, at: tuple[int, int, int]) -> None:
        origin = self.origins.get((stream, name))
        if origin is None:
            if len(self.origins) >= ORIGINS:
                return
            origin = self.origins[stream, name] = Template(levels.INFO, name, at)
            origin.variant = True  # of the other hosts or callers
            origin.streams.add(stream)
        origin.count += 1
        origin.times.append(time)

    def _all(self) -> list[Template]:
        return [*self._shapes.values(), *self._routes.values(), *self._coarse.values()]

    def _new_head(self, header: str) -> tuple[str, int]:
        """Return the words of a header, without its values, and the level that it names."""
        if len(self._heads) >= _HEADS:
            self._heads.clear()
        words = [
            w for w in self._masker.text(header.replace("|", " ")).split(" ") if "<" not in w or shape_of(w) != (VALUE,)
        ]
        while words and not any(map(str.isalnum, words[0])):
            del words[0]
        head = self._heads[header] = (" ".join(words).strip(" -"), levels.named_in(header))
        return head

    def _found(self, level: int, text: str, at: tuple[int, int, int], access: bool) -> Template:
        """Return the template of a masked text, which may be a new one."""
        level = levels.level_in(text) if level == levels.UNKNOWN else level
        shape = (text,) if access else shape_of(text)
        template = (self._routes if access else self._shapes).get((level, shape))
        if template is not None:
            template.body = _common(template.body, text, shape)
            return template
        if not access and not self._full and len(self._shapes) >= SHAPES:
            self._reconcile()
            self._full = len(self._shapes) > SHAPES // 2
        if not (len(self._routes) >= ROUTES if access else self._full):
            template = (self._routes if access else self._shapes)[level, shape] = Template(
                level, text, at, access=access
            )
            return template
        text = f"{text.partition(' ')[0]} <*> {text.rpartition(' ')[2]}" if access else "<*>"
        return self._coarse.setdefault((level, text), Template(level, text, at, coarse=True))

    def _reconcile(self) -> None:
        """Merge the templates whose shapes differ only in words that vary."""
        by_level: dict[int, list[Shape]] = defaultdict(list)
        for level, shape in self._shapes:
            by_level[level].append(shape)
        merged: dict[tuple[int, Shape], Template] = {}
        for level, shapes in by_level.items():
            general_of, variants = reconciled(shapes)
            for shape, general in general_of.items():
                template = self._shapes[level, shape]
                template.variant = template.variant or general in variants
                known = merged.setdefault((level, general), template)
                if known is not template:
                    known.body = _common(known.body, template.body, general)
                    known.absorb(template)
        self._shapes = merged
        self.remembered.clear()

    def _collapse_routes(self) -> None:
        """Collapse the routes of each method and status, so that a scanner's paths do not hide the real routes."""
        kinds: dict[tuple[str, str], list[tuple[str, Template]]] = defaultdict(list)
        for template in self._routes.values():
            if not template.body.startswith("("):
                method, _, rest = template.body.partition(" ")
                route, _, status = rest.rpartition(" ")
                kinds[method, status].append((route, template))
        for (method, status), routes in kinds.items():
            counts: Counter[str] = Counter()
            for route, template in routes:
                counts[route] += template.count
            short = collapsed(counts)
            for route, template in routes:
                template.body = f"{method} {short[route]} {status}"


def _common(one: str, other: str, shape: Shape) -> str:
    """Return a text for two texts of one shape: their common words, or if they are not as many, the shape's."""
    ours, theirs = one.split(" "), other.split(" ")
    if len(ours) != len(theirs):
        return shown(shape)
    return " ".join(a if a == b else _either(a, b) for a, b in zip(ours, theirs, strict=True))


def _either(one: str, other: str) -> str:
    key, mark, _ = one.partition("=")
    return f"{key}=<*>" if mark and other.startswith(f"{key}=") else "<*>"


def _between(times: array[float], first: float, last: float) -> array[float]:
    return array("d", (time for time in times if first <= time <= last))
