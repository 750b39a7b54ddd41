"""Reconciling: shapes that differ only in words that vary become one.

A word varies if, with all other words the same, there are more than three in its place. This is the step "reconcile" of
AEL (Jiang et al., Abstracting Execution Logs to Execution Events, 2008). Where several words vary at once no two shapes
differ in one word only; such shapes are found alike by the share of their words, as in Drain (He et al., 2017).

Words of a start, a stop or a fault never vary, nor do words in capitals, as CONNACK: they tell what happened.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from log_analyst.readers import levels
from log_analyst.readers.shapes import VALUE, Shape

_FEW = 3  # words in one place that may each mean something else
_PASSES = 3  # so many varying words of one shape are found one after the other
_ALIKE = 0.6  # share of the words that alike shapes have in common
_COMPARED = 32  # groups that a shape is compared with

_TELLING = re.compile(r"[A-Za-z]{4,}(?:ed|ing)\W*|[A-Z]{3,}")


def reconciled(shapes: Iterable[Shape]) -> tuple[dict[Shape, Shape], set[Shape]]:
    """Return, for each shape, the shape that it is part of, and the shapes that differ from another only in a word."""
    general = {shape: shape for shape in shapes}
    variants: set[Shape] = set()
    for _ in range(_PASSES):
        wider, variants = _one_word_varies(dict.fromkeys(general.values()))
        if not wider:
            break
        general = {shape: wider.get(now, now) for shape, now in general.items()}
    wider = _several_words_vary(dict.fromkeys(general.values()))
    return {shape: wider.get(now, now) for shape, now in general.items()}, variants - wider.keys()


def _one_word_varies(shapes: Iterable[Shape]) -> tuple[dict[Shape, Shape], set[Shape]]:
    """Return the shapes in which a word varies, each with its more general shape, and the others with a like."""
    words: dict[tuple[int, int, int], set[str]] = defaultdict(set)
    keyed = {shape: list(_places(shape)) for shape in shapes}
    for shape, keys in keyed.items():
        for key in keys:
            words[key].add(shape[key[0]])
    general: dict[Shape, Shape] = {}
    variants: set[Shape] = set()
    for shape, keys in keyed.items():
        varying = {key[0] for key in keys if shape[key[0]] != VALUE and _varies(shape[key[0]], words[key])}
        if varying:
            general[shape] = tuple(VALUE if at in varying else word for at, word in enumerate(shape))
        elif any(len(words[key]) > 1 for key in keys):
            variants.add(shape)
    return general, variants


def _places(shape: Shape) -> Iterable[tuple[int, int, int]]:
    """Yield each place whose word may vary: its number and the hashes of what is before and after it.

    What is left must name the event: two words, or one before the place.
    """
    words = sum(word != VALUE for word in shape)
    after = [0]
    for word in reversed(shape):
        after.append(hash((after[-1], word)))
    before = 0
    for at, word in enumerate(shape):
        if words - (word != VALUE) >= (2 if at == 0 else 1) and not _tells(word):
            yield at, before, after[-at - 2]
        before = hash((before, word))


def _varies(word: str, words: set[str]) -> bool:
    """Return whether a word varies that is one of `words` in its place. Beside numbers, a plain word may be a state."""
    return len(words) > _FEW or (VALUE in words and not word.isalpha())


@lru_cache(maxsize=65_536)
def _tells(word: str) -> bool:
    return _TELLING.fullmatch(word) is not None or levels.is_lifecycle(word) or levels.is_trouble(word)


def _several_words_vary(shapes: Iterable[Shape]) -> dict[Shape, Shape]:
    """Return the shapes in which several words vary at once, each with its more general shape."""
    leaves: dict[tuple[int, str], list[list[Shape]]] = defaultdict(list)
    for shape in shapes:
        groups = leaves[len(shape), shape[0]]
        group = next((each for each in groups[:_COMPARED] if alike(each[0], shape)), None)
        if group is None:
            groups.append([shape])
        else:
            group.append(shape)
    general: dict[Shape, Shape] = {}
    parts = [group for groups in leaves.values() for group in groups]
    while parts:
        part = parts.pop()
        if len(part) <= _FEW:
            continue
        columns = [set(column) for column in zip(*part, strict=True)]
        # A place with few words, or with one that tells what happened, does not vary: it parts the shapes.
        few = [
            at for at, words in enumerate(columns) if len(words) > 1 and (len(words) <= _FEW or any(map(_tells, words)))
        ]
        if few:
            split: dict[Shape, list[Shape]] = defaultdict(list)
            for shape in part:
                split[tuple(shape[at] for at in few)].append(shape)
            parts += split.values()
        else:
            whole = tuple(VALUE if len(words) > 1 else next(iter(words)) for words in columns)
            general.update((shape, whole) for shape in part)
    return general


def alike(one: Shape, other: Shape) -> bool:
    """Return whether two shapes of one length have most of their words in common. Values do not count."""
    words = same = 0
    for a, b in zip(one, other, strict=True):
        if a != VALUE or b != VALUE:
            words += 1
            same += a == b
    return same >= _ALIKE * words
