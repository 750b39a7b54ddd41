"""Reconciling: shapes that differ only in words that vary become one.

Shapes of one length that begin or end alike are compared with the first of each group, as in Drain (He et al., 2017).
In a group, a place with many words varies. One with few words parts the group, because each may mean something
else. This is the step "reconcile" of AEL (Jiang et al., Abstracting Execution Logs to Execution Events, 2008).

Words of a start, a stop or a fault never vary, nor do words in capitals, as CONNACK: they tell what happened.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

from log_analyst.readers import levels
from log_analyst.readers.shapes import VALUE, Shape

# Where shapes are looked for that are alike: those with this word in common (the first or the last), and this share of
# all words. In one place, so many words may each mean something else, and two more for each other place with several.
_PASSES = ((0, 0.5, 3), (-1, 0.5, 3), (0, 0.3, 20))
_COMPARED = 32  # groups that a shape is compared with

_TELLING = re.compile(r"[A-Za-z]{4,}(?:ed|ing)\W*|[A-Z]{3,}")


def reconciled(shapes: Iterable[Shape]) -> tuple[dict[Shape, Shape], set[Shape]]:
    """Return, for each shape, the shape that it is part of, and the shapes that differ from another only in a word."""
    general = {shape: shape for shape in shapes}
    variants: set[Shape] = set()
    for end, share, few in _PASSES:
        wider: dict[Shape, Shape] = {}
        for group in _groups(dict.fromkeys(general.values()), end, share):
            for part in _parts(group, few):
                whole = tuple(words.pop() if len(words) == 1 else VALUE for words in map(set, zip(*part, strict=True)))
                named = sum(word != VALUE and any(map(str.isalpha, word)) for word in whole)
                if named > (whole[0] == VALUE):  # what is left must name the event
                    wider.update((shape, whole) for shape in part)
            variants.update(
                shape for shape in group if any(_differ_in_a_word(shape, other) for other in group[:_COMPARED])
            )
        general = {shape: wider.get(now, now) for shape, now in general.items()}
    return general, variants & set(general.values())


def _groups(shapes: Iterable[Shape], end: int, share: float) -> Iterator[list[Shape]]:
    leaves: dict[tuple[int, str], list[list[Shape]]] = defaultdict(list)
    for shape in shapes:
        groups = leaves[len(shape), shape[end]]
        group = next((each for each in groups[:_COMPARED] if alike(each[0], shape, share)), None)
        if group is None:
            groups.append([shape])
        else:
            group.append(shape)
    for groups in leaves.values():
        yield from (group for group in groups if len(group) > 1)


def _parts(group: list[Shape], few: int) -> Iterator[list[Shape]]:
    """Yield the parts of a group in which each place has one word, or varies."""
    parts = [group]
    while parts:
        part = parts.pop()
        if len(part) == 1:
            continue
        columns = [set(column) for column in zip(*part, strict=True)]
        places = [at for at, words in enumerate(columns) if len(words) > 1]
        telling = [at for at in places if not _varies(columns[at], few + 2 * (len(places) - 1))]
        if telling:
            at = min(telling, key=lambda each: len(columns[each]))
            split: dict[str, list[Shape]] = defaultdict(list)
            for shape in part:
                split[shape[at]].append(shape)
            parts += split.values()
        else:
            yield part


def _differ_in_a_word(one: Shape, other: Shape) -> bool:
    different = [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]
    return len(different) == 1 and not any(map(_tells, different[0]))


def _varies(words: set[str], few: int) -> bool:
    """Return whether one of `words` in a place may be any. Beside values, a plain word may be a state."""
    is_value = VALUE in words and not any(map(str.isalpha, words))
    return not any(map(_tells, words)) and (len(words) > few or is_value)


@lru_cache(maxsize=65_536)
def _tells(word: str) -> bool:
    return _TELLING.fullmatch(word) is not None or levels.is_lifecycle(word) or levels.is_trouble(word)


def alike(one: Shape, other: Shape, share: float) -> bool:
    """Return whether two shapes of one length have this share of their words in common. Values do not count."""
    words = same = 0
    for a, b in zip(one, other, strict=True):
        if a != VALUE or b != VALUE:
            words += 1
            same += a == b
    return same >= share * words
