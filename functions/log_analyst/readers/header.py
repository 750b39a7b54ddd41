"""The header of a log's lines: what a logger writes before each message, whatever the message is.

Host, process id, thread, node, logger, file and level stand at the same place in each line. Column by column, from the
left, each is found by what nearly all lines have there: a level, brackets, a number or an id, a name that ends in a
colon, or a dash. Drain and the parsers after it take the header's layout from their user
(https://github.com/logpai/logparser); here the lines tell it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from log_analyst.readers import levels
from log_analyst.readers.entry import Entry
from log_analyst.readers.masking import Masker
from log_analyst.readers.shapes import VALUE, shape_of

_MOST = 0.9  # share of the lines that have a column of a header
_FEWEST = 8  # lines; fewer look alike by chance
_COLUMNS = 12
_AHEAD = 6  # columns before a level that are part of the header, whatever they hold
_LONGEST = 400  # characters in which they are

# Each ends with the space after it. Possessive, so that no line takes long.
_END = r"(?:[ \t]*\|[ \t]*|[ \t]+)"
_WORD = rf"[^\s|]++{_END}"
_NAMED = rf"(?=[^\s|]*[^A-Za-z\s|])[^\s|]++{_END}"
_BRACKETS = rf"(?:\[(?:[^\[\]]++|\[[^\[\]]*+\])*+\]|\((?:[^()]++|\([^()]*+\))*+\)|<[^<>]*+>|\{{[^{{}}]*+\}}):?{_END}"
_DASH = rf"(?:[^\s|]++{_END}){{0,3}}?(?:[-:>=|*#.+]|--|---|::|=>|->){_END}"
_CLOCK = rf"[A-Z][a-z]{{2}} [ \d]?\d \d\d:\d\d:\d\d{_END}"
_TAG = rf"[^\s|]*+(?<=[:\]>]){_END}"
_LEVEL = rf"(?P<level>[^\s|]++){_END}"
KINDS = {kind: re.compile(kind) for kind in (_WORD, _NAMED, _BRACKETS, _CLOCK, _DASH, _TAG, _LEVEL)}
_AROUND = "[](){}<>|:,;-/"
# True and false, or grades, are letters too. A log has at least one of these.
_TELLING = frozenset("IDV")
# A word with something inside that words of a sentence have not, or a value.
_NAME = re.compile(r"(?=\D*\d|\w*[.$/@#:_-]\w)[\w.$/@#:-]*\w|[^\w<]*(?:<\w+>[^\w<]*)+")


class Header:
    """The layout of the headers of one log, as the columns' patterns."""

    def __init__(self, columns: Sequence[str]) -> None:
        pattern = ""
        for column in reversed(columns):
            pattern = f"{column}(?:{pattern})?" if pattern else column
        self._pattern = re.compile(pattern)
        self._has_level = _LEVEL in columns

    def read(self, entry: Entry) -> Entry:
        """Return an entry with the end of the header in its text and, if it has no level, the level in the header."""
        match = self._pattern.match(entry.text, entry.header)
        if match is None:
            return entry
        word = match["level"] if self._has_level and entry.level == levels.UNKNOWN else None
        return entry._replace(level=_level(word) if word else entry.level, header=match.end())


def header_of(texts: Sequence[str]) -> Header | None:
    """Return the layout of the headers that these texts of a log's first entries begin with; None if they have none."""
    if len(texts) < _FEWEST:
        return None
    fewest = _MOST * len(texts)
    masker = Masker()
    columns: list[str] = []
    rests = list(texts)
    while len(columns) < _COLUMNS and (found := _next(rests, fewest, masker)):
        for kind in found:
            rests = [rest[m.end() :] for rest in rests if (m := KINDS[kind].match(rest)) is not None]
        columns += [_WORD if kind == _LEVEL and _LEVEL in columns else kind for kind in found]
    return Header(columns) if columns else None


def _next(rests: list[str], fewest: float, masker: Masker) -> list[str]:
    """Return the kinds of the header's next columns, none if the messages begin here."""
    rows = [re.findall(r"[^\s|]+", rest[:_LONGEST])[: _AHEAD + 1] for rest in rests]
    if _are_levels(rows, 0, fewest):
        return [_LEVEL]
    for kind in (_BRACKETS, _CLOCK):
        if sum(KINDS[kind].match(rest) is not None for rest in rests) >= fewest:
            return [kind]
    for ahead in range(1, _AHEAD):
        if _are_levels(rows, ahead, fewest):
            return [_WORD] * ahead + [_LEVEL]
    for kind in (_DASH, _TAG):
        if sum(KINDS[kind].match(rest) is not None for rest in rests) >= fewest:
            return [kind]
    split = [(m.group().rstrip(" \t|"), rest[m.end() :]) for rest in rests if (m := KINDS[_WORD].match(rest))]
    if sum(bool(_NAME.fullmatch(head) or _NAME.fullmatch(masker.text(head))) for head, _ in split) < fewest:
        return []
    says_more = sum(shape_of(masker.text(rest)) != (VALUE,) for _, rest in split)  # the rest, than values only
    return [_NAMED] if says_more >= fewest else []


def _are_levels(rows: list[list[str]], at: int, fewest: float) -> bool:
    """Return whether a column before the last holds levels. Single letters are levels where it holds nothing else."""
    words = [row[at] for row in rows if len(row) > at + 1]
    known = [word for word in words if _level(word) != levels.UNKNOWN]
    if len(known) < fewest:
        return False
    letters = {word.strip(_AROUND) for word in words if len(word.strip(_AROUND)) == 1}
    return not letters or (len(known) == len(words) and bool(letters & _TELLING))


@lru_cache(maxsize=1_024)
def _level(word: str) -> int:
    word = word.strip(_AROUND)
    return levels.LETTERS.get(word, levels.UNKNOWN) if len(word) == 1 else levels.of_word(word)
