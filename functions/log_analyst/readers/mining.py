"""Mining: entries become templates, each with its count, its times and the place of an example.

Drain gets each distinct masked text once and merges texts of one shape. The first few variants of warnings and errors
stay separate: there a different word (a host, a reason) matters most, and one error must not hide in another's
template.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Collection
from hashlib import blake2s

from drain3.drain import Drain, LogCluster

from log_analyst.readers import levels
from log_analyst.readers.formats import Entry
from log_analyst.readers.masking import Masker
from log_analyst.readers.paths import collapsed

_SIMILARITY = 0.6
_VARIANTS = 8
_CLUSTERS = 1_000  # of one level; after them, lines of new shapes share coarse templates
_COARSE = 100
ROUTES = 20_000  # of access logs; after them, requests of new routes are only counted by method and status
REMEMBERED = 50_000  # texts whose template is remembered; others are matched again each time
_COMPARED = (32, 8)  # how many of a branch's first and last clusters a line is compared with
_TOKENS = 80


class Template:
    """A template and its lines.

    `times` are those of its lines, in seconds since the epoch; `streams` are the numbers of the logs that have it. `at`
    is the place of its first line: (number of the source, start, end). `access` is whether it is about requests of an
    access log. A `coarse` template stands for lines of many shapes, so its first time means nothing. A `variant`
    differs from another template only in words.
    """

    __slots__ = ("access", "at", "coarse", "count", "keys", "level", "streams", "text", "times", "variant")

    def __init__(self, level: int, text: str, at: tuple[int, int, int]) -> None:
        self.level = level
        self.text = text
        self.at = at
        self.count = 0
        self.times = array("d")
        self.streams: set[int] = set()
        self.access = False
        self.coarse = False
        self.variant = False
        self.keys: list[tuple[int, str]] = []

    @property
    def id(self) -> str:
        """The template's id, the same in every run."""
        return "t" + blake2s(f"{self.level} {self.text}".encode(errors="replace"), digest_size=5).hexdigest()

    def absorb(self, other: Template) -> None:
        """Add the lines of `other` to this template."""
        self.count += other.count
        self.times.extend(other.times)
        self.streams |= other.streams
        self.coarse = self.coarse or other.coarse
        self.at = min(self.at, other.at)


class Miner:
    """Takes entries one by one with `add`; `templates()` returns their templates.

    The templates' counts add up to `entries`. By its number, `times` has the times of each stream's lines, and
    `serious` how many of them are warnings or worse.
    """

    def __init__(self) -> None:
        self.times: dict[int, array[float]] = defaultdict(lambda: array("d"))
        self.serious: Counter[int] = Counter()
        self.entries = 0
        self._masker = Masker()
        self._templates: dict[tuple[int, str], Template] = {}
        self._trees: dict[int, _Tree] = defaultdict(_Tree)
        self._clusters: dict[tuple[int, int], list[Template]] = defaultdict(list)
        self._coarse: dict[tuple[int, str], Template] = {}
        self._routes = 0
        self._merged: dict[int, tuple[Template, LogCluster]] = {}

    @property
    def remembered(self) -> int:
        """How many keys of templates are held in memory, at most `REMEMBERED` and one."""
        return len(self._templates)

    def add(self, entry: Entry, stream: int, at: tuple[int, int, int]) -> None:
        """Add `entry` of a stream to its template; `at` is its place, as a template's."""
        text = self._masker.request(entry.text) if entry.access else self._masker.text(entry.text)
        key = (entry.level, text)
        template = self._templates.get(key)
        if template is None:
            template = self._new(entry, text, at)
            if not template.count or len(self._templates) < REMEMBERED:
                template.keys.append(key)
                self._templates[key] = template
        template.count += 1
        template.streams.add(stream)
        self.entries += 1
        if entry.time is not None:
            template.times.append(entry.time)
            self.times[stream].append(entry.time)
            if template.level >= levels.WARNING:
                self.serious[stream] += 1

    def forget_after(self, moment: float) -> int:
        """Drop the lines later than `moment` (seconds since the epoch); return how many there were."""
        for stream, times in self.times.items():
            self.times[stream] = array("d", (time for time in times if time <= moment))
        forgotten = 0
        for template in {id(template): template for template in self._templates.values()}.values():
            kept = array("d", (time for time in template.times if time <= moment))
            later = len(template.times) - len(kept)
            template.times = kept
            template.count -= later
            forgotten += later
        self.entries -= forgotten
        return forgotten

    def templates(self) -> list[Template]:
        """Return the templates: by level, then by count, the highest first. No entries can be added afterwards."""
        for template, cluster in self._merged.values():
            template.text = cluster.get_template()
        for variants in self._clusters.values():
            for template in variants:
                template.variant = len(variants) > 1
        distinct = {id(template): template for template in self._templates.values() if template.count}
        self._collapse_routes(list(distinct.values()))
        by_text: dict[tuple[int, str], Template] = {}
        for template in distinct.values():
            known = by_text.setdefault((template.level, template.text), template)
            if known is not template:
                known.absorb(template)
        return sorted(by_text.values(), key=lambda t: (-t.level, -t.count, t.text))

    def _new(self, entry: Entry, text: str, at: tuple[int, int, int]) -> Template:
        level = entry.level if entry.level != levels.UNKNOWN else levels.level_in(text)
        if entry.access:
            if self._routes >= ROUTES:
                return self._coarse_request(level, text, at)
            self._routes += 1
            template = Template(level, text, at)
            template.access = True
            return template
        cluster = self._trees[level].place(text)
        if cluster is None:
            return self._coarse_template(level, text, at)
        variants = self._clusters[level, cluster.cluster_id]
        if level >= levels.WARNING and not (len(variants) == 1 and id(variants[0]) in self._merged):
            for variant in variants:
                if variant.text == text:  # the same text, with its level in a field and in its words
                    return variant
            variants.append(Template(level, text, at))
            if len(variants) <= _VARIANTS:
                return variants[-1]
            self._merge(variants, cluster)
        elif not variants:
            variants.append(Template(level, text, at))
            self._merged[id(variants[0])] = (variants[0], cluster)
        return variants[0]

    def _coarse_request(self, level: int, text: str, at: tuple[int, int, int]) -> Template:
        text = f"{text.partition(' ')[0]} <*> {text.rpartition(' ')[2]}"
        template = self._coarse.get((level, text))
        if template is None:
            template = self._coarse[level, text] = Template(level, text, at)
            template.coarse = True
        return template

    def _coarse_template(self, level: int, text: str, at: tuple[int, int, int]) -> Template:
        word = text.split(" ", 1)[0]
        text = f"{word} <*>" if word.isalpha() and len(self._coarse) < _COARSE else "<*>"
        template = self._coarse.get((level, text))
        if template is None:
            template = self._coarse[level, text] = Template(level, text, at)
            template.coarse = True
        return template

    def _merge(self, variants: list[Template], cluster: LogCluster) -> None:
        first, *others = variants
        for other in others:
            first.absorb(other)
            first.keys.extend(other.keys)
        for key in first.keys:
            self._templates[key] = first
        self._merged[id(first)] = (first, cluster)
        variants[:] = [first]

    def _collapse_routes(self, templates: list[Template]) -> None:
        """Collapse the routes of each method and status, so that a scanner's paths do not hide the real routes."""
        kinds: dict[tuple[str, str], list[tuple[str, Template]]] = defaultdict(list)
        for template in templates:
            if template.access and not template.text.startswith("("):
                method, _, rest = template.text.partition(" ")
                route, _, status = rest.rpartition(" ")
                kinds[method, status].append((route, template))
        for (method, status), routes in kinds.items():
            counts: Counter[str] = Counter()
            for route, template in routes:
                counts[route] += template.count
            short = collapsed(counts)
            for route, template in routes:
                template.text = f"{method} {short[route]} {status}"


class _Tree(Drain):
    """Drain with limits, so that the time for a line does not grow with the number of lines before it."""

    def __init__(self) -> None:
        super().__init__(depth=4, sim_th=_SIMILARITY, parametrize_numeric_tokens=True)

    def place(self, text: str) -> LogCluster | None:
        """Return the cluster of a new masked text; None if it fits none and there are too many."""
        tokens = text.split(" ", _TOKENS)
        if len(tokens) > _TOKENS:
            tokens[_TOKENS] = "…"
        if len(self.id_to_cluster) >= _CLUSTERS:
            match = self.tree_search(self.root_node, tokens, self.sim_th, False)
            if match is None:
                return None
        cluster, _ = self.add_log_message(" ".join(tokens))
        return cluster

    def fast_match(
        self, cluster_ids: Collection[int], tokens: object, sim_th: float, include_params: bool
    ) -> LogCluster | None:
        head, tail = _COMPARED
        if len(cluster_ids) > head + tail:
            ids = list(cluster_ids)
            cluster_ids = ids[:head] + ids[-tail:]
        return super().fast_match(cluster_ids, tokens, sim_th, include_params)  # type: ignore[arg-type]
