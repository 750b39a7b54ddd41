"""How serious a log line is, on one scale for all formats."""

from __future__ import annotations

import re
from typing import Any

UNKNOWN = -1
DEBUG, INFO, NOTICE, WARNING, ERROR, CRITICAL = range(6)
NAMES = ("DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL")

_SPELLINGS = {
    DEBUG: ("trace", "trce", "trc", "debug", "dbug", "dbg", "verbose", "vrb", "fine", "finer", "finest"),
    INFO: ("info", "inf", "normal", "information", "informational", "log"),
    NOTICE: ("notice",),
    WARNING: ("warn", "wrn", "warning"),
    ERROR: ("err", "error", "fail", "severe"),
    CRITICAL: ("crit", "critical", "alert", "emerg", "emergency", "fatal", "ftl", "panic"),
}
WORDS = {word: level for level, words in _SPELLINGS.items() for word in words}
# Android's, glog's, klog's and MongoDB's levels in one letter. They are levels only where a column holds nothing else.
_LETTERS = {DEBUG: "VD", INFO: "I", NOTICE: "N", WARNING: "W", ERROR: "E", CRITICAL: "CFA"}
LETTERS = {letter: level for level, letters in _LETTERS.items() for letter in letters}

# A level as loggers write it: behind a key, in capitals, or in lower case with punctuation that marks a level.
_KEYED = re.compile(r"\b(?:level|lvl|severity|loglevel)\"?[=:] ?\"?([A-Za-z]{3,13})\b", re.IGNORECASE)
_CAPITALS = re.compile(
    r"\b(TRACE|DEBUG|INFO|INFORMATION|NOTICE|WARN|WARNING|ERR|ERROR|SEVERE|CRIT|CRITICAL|ALERT|EMERG|FATAL|PANIC)\b"
    r"|(?:^|\[)(INF|WRN|DBG|FTL|VRB|TRC)\b"
)
_MARKED = re.compile(
    r"(?:^|\[|<)(?:"
    r"(trace|debug|info|notice|warn|warning|err|error|crit|critical|alert|emerg|fatal|panic)(?=[\]>:\s\"]|$)"
    r"|(trce|dbug|fail)(?=[\]:]))",
    re.IGNORECASE,
)
# A line that begins with the name of an exception.
_FAULT = re.compile(r"[A-Za-z_][\w.$]*(?:Error|Exception|Panic|Fault|Failure)(?=:)")
# Words that make a line without a level a warning, except in "0 errors" and "no error".
_TROUBLE = re.compile(
    r"(?<!\bno )(?<!\b0 )(?<!<num> )(?<!without )"
    r"\b(?:errors?|failed|failure|fails|exception|traceback|refused|timed ?out|timeout|denied|unreachable|"
    r"unavailable|aborted|segfault|oom-killer|out of memory|killed process|core dumped|5xx)\b",
    re.IGNORECASE,
)
# Words for a start, a stop or a change. An operator wants to see such a line even once and at INFO.
_LIFECYCLE = re.compile(
    r"\b(?:re)?(?:start(?:ed|ing|s)?|stop(?:ped|ping)|boot(?:ed|ing)?|shut(?:ting)? ?down|shutdown|exit(?:ed|ing)?|"
    r"reload(?:ed|ing)?|deploy(?:ed|ing|ment)?|roll(?:ed|ing) ?back|migrat(?:ed|ing|ion)|failover|"
    r"evict(?:ed|ing)?|scal(?:ed|ing) (?:up|down|in|out)|terminat(?:ed|ing)|signal|configuration changed)\b",
    re.IGNORECASE,
)


def level_in(text: str) -> int:
    """Return the level that the start of `text` names; else WARNING if it mentions trouble, else INFO."""
    if (named := named_in(text)) != UNKNOWN:
        return named
    if _FAULT.match(text):
        return ERROR
    return WARNING if is_trouble(text) else INFO


def named_in(text: str) -> int:
    """Return the level that the start of `text` names; else UNKNOWN."""
    head = text[:160]
    keyed = _KEYED.search(head)
    if keyed and (level := of_word(keyed[1])) != UNKNOWN:
        return level
    match = _CAPITALS.search(head) or _MARKED.search(head)
    return of_word(match[1] or match[2]) if match else UNKNOWN


def of_word(word: str) -> int:
    """Return the level that is written as this word, in any case; else UNKNOWN."""
    return WORDS.get(word.lower(), UNKNOWN)


def level_of(value: Any) -> int:
    """Return the level in a field: a word, a syslog severity, or pino's and bunyan's 10 … 60; else UNKNOWN."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in WORDS:
            return WORDS[word]
        if not word.isdecimal() or len(word) > 2:
            return UNKNOWN
        value = int(word)
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value <= 7:
            return of_syslog(value)
        if 10 <= value <= 60:
            return (DEBUG, DEBUG, INFO, WARNING, ERROR, CRITICAL)[value // 10 - 1]
    return UNKNOWN


def of_syslog(severity: int) -> int:
    """Return the level of a syslog severity, 0 (emergency) to 7 (debug); higher bits are ignored."""
    return (CRITICAL, CRITICAL, CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG)[severity & 7]


def of_status(status: int) -> int:
    """Return the level of an HTTP status: 5xx is an error; 408, 429 and 499 are warnings."""
    if status >= 500:
        return ERROR
    if status in (408, 429, 499):
        return WARNING
    return NOTICE if status >= 400 else INFO


def is_trouble(text: str) -> bool:
    """Return whether `text` has a word of those that make a line without a level a warning."""
    return _TROUBLE.search(text) is not None


def is_lifecycle(text: str) -> bool:
    """Return whether `text` is about a start, a stop or a change."""
    return _LIFECYCLE.search(text) is not None
