"""Masking: the variable parts of a line (numbers, ids, addresses) become a name in angle brackets.

Each token is masked by itself and remembered, so that a line costs little more than a split and a join. Other people
write the tokens: each is cut, and only the patterns are tried that its characters allow, so that no token takes long.
"""

from __future__ import annotations

import re
from functools import cache

METHODS = frozenset(
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "PROPFIND", "PURGE"]
)
# In characters. Longer texts and tokens are cut: templates differ at the start.
TEXT_LIMIT = 1_000
TOKEN_LIMIT = 200
_REMEMBERED = 100_000  # tokens
_REMEMBERED_LENGTH = 4_000_000  # characters of them
_LONGEST_NAME = 40

_UNIT = r"(?:ms|us|µs|ns|sec|secs|s|min|m|h|d|%|[kKMGT]?i?[bB]|[kKMGT])?"
_MASKS = {
    "url": r"(?<![a-z])[a-z][a-z0-9+.-]*+://[^\s\"'<>()\[\],;]+",
    "email": r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]+)+",
    "uuid": r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])",
    "time": r"(?<!\d)(?:\d{4}[-/]\d\d[-/]\d\d(?:T\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?:\.\d+)?|\d\d?:\d\d:\d\d(?:[.,]\d+)?)(?!\d)",
    "mac": r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}(?![0-9A-Za-z])",
    "ip": r"(?<![\d.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d{1,5})?(?![\d.]*\d)"
    r"|(?<![0-9A-Za-z:])(?=[a-fA-F:]*\d)(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![0-9A-Za-z:])"
    r"(?<=[0-9a-fA-F:]{3})",
    "keep": r"(?<![0-9A-Za-z])(?:HTTP/\d(?:\.\d)?|[1-5]xx|x86_64"
    r"|(?i:utf-?8|sha\d{1,3}|md5|ipv[46]|s3|ec2|k8s|p\d\d))(?![0-9A-Za-z])",
    "hex": r"(?<![0-9A-Za-z])(?:0[xX][0-9a-fA-F]+|(?=[0-9a-fA-F]*\d)(?=\d*[a-fA-F])[0-9a-fA-F]{7,}|[a-f]{8})"
    r"(?![0-9A-Za-z])",
    # A file: under a known root, or with an extension. Other paths are routes; only their ids are masked.
    "rooted": r"(?<![\w/.<>])/(?:var|usr|etc|home|tmp|opt|srv|data|mnt|dev|proc|run|root|lib|bin|sbin|boot|sys)"
    r"(?:/[\w.@%+~=:-]+)+",
    "file": r"(?<![\w/.<>])(?:/[\w.@%+~=-]+)+\.[A-Za-z]\w{0,5}(?![\w/])",
    "drive": r"(?<![\w/.<>])[A-Za-z]:\\[^\s\"'<>,;]+",
    "id": r"(?<![0-9A-Za-z])(?=[A-Za-z]*\d+[A-Za-z]+\d)[0-9A-Za-z]{6,}(?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z])(?=[A-Za-z_+/-]*+\d)[0-9A-Za-z_+/-]{32,}+=*+(?![0-9A-Za-z])",
    "num": rf"(?<![A-Za-z])[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?{_UNIT}(?![0-9A-Za-z])|\d+",
}
# What a token must contain for each kind, so that few patterns are tried.
_MARKS = {"url": "://", "email": "@", "uuid": "-", "rooted": "/", "file": "/", "drive": "\\"}
_WITH_DIGITS = {"time", "ip", "keep", "hex", "id", "num"}
_DIGIT = re.compile(r"\d")
_NAMES = {"rooted": "path", "file": "path", "drive": "path"}
# A token with more slashes counts as no file, because a path may start at each of them and matching takes long.
_DEEPEST_PATH = 24
# A short token without these characters is a word, which is kept.
_TELLTALE = re.compile(r"[\d/@:\\]")

_KEY = r"(?P<key>\b(?:msg|message|error|err|reason|event|cause|exception)=)?"
_IN_DOUBLE, _IN_SINGLE = r"\"(?P<double>(?:[^\"\\]|\\.)*)\"", r"(?<![\w'])'(?P<single>[^']*)'(?!\w)"
_STATUS_BEHIND = r"(?P<status> [1-5]\d\d\b)?"
_QUOTED = re.compile(f"{_KEY}(?:{_IN_DOUBLE}|{_IN_SINGLE}){_STATUS_BEHIND}")
_SINGLE_QUOTED = re.compile(f"(?P<double>(?!))?{_KEY}{_IN_SINGLE}{_STATUS_BEHIND}")
# A text up to the first double quote that is not closed.
_CLOSED = re.compile(rf"(?:[^\"']+|{_IN_DOUBLE}|{_IN_SINGLE}|')*")
_STATUS = re.compile(r"(?<!exit )\b((?:http[_ ]?)?status(?:[_ ]?code)?[=:]? ?[=:]? ?)([1-5])\d\d\b", re.IGNORECASE)
_DATE = re.compile(
    r"(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"<num> <time>(?: <num>)?"
)
_SEGMENT_ID = re.compile(
    r"\d+|[0-9a-fA-F]{7,}|(?=\D*\d)[\w.~=+-]{16,}|(?=\D*\d[^A-Za-z]*[A-Za-z]\D*\d)[\w-]{6,}"
    r"|[^/]*@[^/]*|[^/]*\d{3,}[^/]*|(?=\d|[a-f]+\d+[a-f])[0-9a-f]{4,}\.\w{2,5}"
)


class Masker(dict[str, str]):
    """Masks texts. As a dict it remembers its tokens: `masker[token]` is the masked token."""

    def __init__(self) -> None:
        super().__init__()
        self._length = 0

    def text(self, text: str) -> str:
        """Return `text` with its variable parts masked and each run of white space as one space."""
        is_cut, text = len(text) > TEXT_LIMIT, text[:TEXT_LIMIT]
        for quote in "\"'":
            if is_cut and text.count(quote) % 2:
                text += quote  # it was closed behind the cut
        if '"' in text or "'" in text:
            text = self._without_quotes(text)
        if "tatus" in text or "TATUS" in text:
            text = _STATUS.sub(r"\1\2xx", text)
        masked = " ".join(map(self.__getitem__, text.split()))
        return _DATE.sub("<time>", masked) if "<time>" in masked else masked

    def request(self, text: str) -> str:
        """Return `METHOD path status` with the path's query cut off and its ids masked."""
        method, _, rest = text.partition(" ")
        path, _, status = rest.rpartition(" ")
        return f"{method} {self.route(path)} {status}"

    def route(self, path: str) -> str:
        """Return a URL's path without its query and with its ids masked."""
        path = path[:TEXT_LIMIT]
        for mark in "?;#":
            path = path.split(mark, 1)[0]
        return "/".join("<id>" if _is_id(segment) else segment for segment in path.split("/"))

    def __missing__(self, token: str) -> str:
        if token.isdecimal():
            return "<num>"  # not remembered: there are too many, and this is as fast
        tells = len(token) >= 32 or _TELLTALE.search(token)
        masked = _masked(token[:TOKEN_LIMIT]) if tells else token
        if len(self) >= _REMEMBERED or self._length >= _REMEMBERED_LENGTH:
            self.clear()
            self._length = 0
        self[token] = masked
        self._length += len(token)
        return masked

    def _without_quotes(self, text: str) -> str:
        if '\\"' not in text or (closed := _CLOSED.match(text)) is None or closed.end() == len(text):
            return _QUOTED.sub(self._quoted, text)
        # After a quote that is not closed, each escaped quote would be tried as the first of a pair: quadratic.
        rest = _SINGLE_QUOTED.sub(self._quoted, text[closed.end() :])
        return _QUOTED.sub(self._quoted, text[: closed.end()]) + rest

    def _quoted(self, match: re.Match[str]) -> str:
        key, double, single, status = match.group("key", "double", "single", "status")
        inner = double if double is not None else single
        if key:
            return f"{key}{inner}{status or ''}"
        method, _, rest = inner.partition(" ")
        if method in METHODS and rest.startswith("/"):
            route = self.route(rest.split(" ", 1)[0])
            return f'"{method} {route}"' + (f" {status[1]}xx" if status else "")
        return f"<str>{status or ''}"


def _is_id(segment: str) -> bool:
    # Long segments are not matched: a scanner sends many, and matching takes long.
    return len(segment) > _LONGEST_NAME or _SEGMENT_ID.fullmatch(segment) is not None


def _masked(token: str) -> str:
    needless = {name for name, mark in _MARKS.items() if mark not in token}
    if _DIGIT.search(token) is None:
        needless |= _WITH_DIGITS
    if token.count("/") > _DEEPEST_PATH:
        needless.add("file")
    return _all_but(frozenset(needless)).sub(_name, token)


@cache
def _all_but(needless: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{name}>{mask})" for name, mask in _MASKS.items() if name not in needless))


def _name(match: re.Match[str]) -> str:
    name = match.lastgroup or ""
    return match.group() if name == "keep" else f"<{_NAMES.get(name, name)}>"
