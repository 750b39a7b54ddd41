"""The shape of a masked text: its words, without what differs between lines of one event.

Two texts of one shape are one event. Numbers and ids have their names already; here `key=value`, lists of values,
units, flags, names of users and what somebody else wrote (a query, a command) count as values too: how many there are
tells nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

from log_analyst.readers import levels

Shape = tuple[str, ...]

VALUE = "<>"  # stands for any number of values
_PAIR_END = f"={VALUE}"
_LONGEST = 80  # words; texts differ at the start

_MASK = re.compile(r"<[a-z*]+>")
_LETTER = re.compile(r"[^\W\d_]")
# A number or an id in a name: `shard-<num>`, `rdd_<num>_<num>`, `pool/member<num>`.
_NUMBERED = re.compile(r"[-_.]<(?:num|id|hex|ip)>|<(?:num|id|hex|ip)>[-_.@]|[^/]/[^/].*<num>")
_NOTHING = re.compile(r"[\W_]*+(?:null|none|nil|None)?[\W_]*+")
_SIGN = re.compile(r"[-:=|>*&+/]+")
_PAIR = re.compile(r"(?<![\w.-])([A-Za-z_][\w.-]*+)=([^=,;)\]\s]*)")
# Keys whose value, if it is a word, tells what happened.
_STATES = frozenset(
    ["status", "state", "result", "reason", "error", "err", "code", "cause", "action", "event", "type", "level"]
)
_WORD = re.compile(r"[A-Za-z]{1,14}")
# A name of a host or a file, also in brackets, of a user at one, and the query's kind in `query[AAAA]`.
_HOST = re.compile(r"[(\[<'\"]*+[a-z\d_-]*+(?:\.[a-z\d_-]++)+(?:/\w++)?[)\]>'\":,;]*+\.?")
_USER_AT = re.compile(r"[\w.\[\]<>-]++@[\w.\[\]<>-]++")
_INDEXED = re.compile(r"([A-Za-z][\w.]*+)\[[^\]]*\](\W*)")
_UNITS = frozenset(
    ["B", "KB", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "ns", "us", "ms", "s", "sec", "secs", "seconds"]
)
# Letters behind a value, each of which says something of it: `IN A`, `F H`, `SC--`.
_FLAGS = re.compile(r"(?!OK|UP|NO)[A-Z]{1,2}|[A-Z-]{1,4}-|--")
# What somebody else wrote follows, to the end of the text.
_SAID = frozenset(["query:", "statement:", "sql:", "command:"])
# A user's name may be missing, or be any word.
_AFTER_NAMES = frozenset(["from", "by", "with", "on", "in", "at", "for", "to", "is", "of"])


def shape_of(text: str) -> Shape:
    """Return the shape of a masked text."""
    shape: list[str] = []
    before = ""
    was_pair = False
    words = text.split(" ")
    for at, word in enumerate(words):
        part = _part(word)
        is_pair = part.endswith((_PAIR_END, f"{_PAIR_END},"))
        if before == "user" and part != "unknown":
            if part in _AFTER_NAMES:
                shape.append(VALUE)
            else:
                part = VALUE
            word = ""
        elif before == "for" and words[at + 1 : at + 2] == ["from"]:
            part = VALUE
        elif before[-1:] == ":" and before.lower() in _SAID and not levels.is_trouble(word):
            shape.append(VALUE)
            break
        is_list = word == before and "<" in word
        says_little = word.strip(",;)]") in _UNITS or _FLAGS.fullmatch(word) is not None
        if is_pair and was_pair:
            shape[-1] = part  # any pair but the last may be missing
        elif not is_list and not (shape and shape[-1] == VALUE and (part == VALUE or says_little)):
            shape.append(part)
            if len(shape) == _LONGEST:
                break
        before, was_pair = word, is_pair
    return tuple(shape)


def shown(shape: Shape) -> str:
    """Return a shape as a template's text."""
    return " ".join(shape).replace(VALUE, "<*>")


@lru_cache(maxsize=65_536)
def _part(word: str) -> str:
    """Return what a word adds to a shape: the word, `VALUE`, or its keys with `VALUE` for each value."""
    if "=" in word:
        return _PAIR.sub(_pair, word)
    bare = _MASK.sub("", word)
    if bare != word and (not _LETTER.search(bare) or ("::" not in word and _NUMBERED.search(word))):
        return VALUE
    if "[" in word and (indexed := _INDEXED.fullmatch(word)) is not None:
        return VALUE if "." in indexed[1] else f"{indexed[1]}[{VALUE}]{indexed[2]}"
    if "@" in word and _USER_AT.fullmatch(word) is not None:
        return VALUE
    if "." in word and _HOST.fullmatch(_MASK.sub("1", word)) and any(map(str.isalpha, word)):
        return VALUE
    return VALUE if _NOTHING.fullmatch(word) and not _SIGN.fullmatch(word) else word


def _pair(match: re.Match[str]) -> str:
    key, value = match.groups()
    is_state = not value or (_WORD.fullmatch(value) and key.lower() in _STATES)
    return match.group() if is_state else f"{key}={VALUE}"
