"""Media types as we know them: one name for those that browsers, tools and stores have several names for.

What a file calls itself matters less than what is in it: whether it is text is told by its content.
"""

from __future__ import annotations

from collections.abc import Iterable

TEXT, GZIP = "text/plain", "application/gzip"
# Browsers and `mimetypes` ask the system what an ending means: where Excel is installed, `.csv` is Excel's; on Linux
# `syslog.1` is a manual page, `app.log.old` is trash, and `.dat` configures a proxy. S3 has a name of its own for what
# it does not know.
_OTHER_NAMES = {
    "text/csv": ("application/csv", "application/x-csv", "text/x-csv", "text/comma-separated-values",
          "application/vnd.ms-excel", "application/excel", "application/msexcel"),
    "text/tab-separated-values": ("application/tab-separated-values", "application/tsv", "text/tsv"),
    TEXT: ("application/log", "application/x-log", "application/text", "application/plain", "application/txt",
           "application/x-txt", "application/x-trash", "application/x-troff-man", "application/x-ns-proxy-autoconfig"),
    "application/x-ndjson": ("application/ndjson", "application/jsonl", "application/x-jsonl", "application/jsonlines",
                 "application/x-jsonlines", "application/json-lines", "application/json-seq"),
    "application/json": ("application/x-json",),
    "text/yaml": ("application/yaml", "application/x-yaml"),
    "text/xml": ("application/xml",),
    GZIP: ("application/x-gzip", "application/x-gunzip", "application/gzipped", "application/x-gzip-compressed"),
    "application/octet-stream": ("binary/octet-stream", "application/x-unknown", "application/unknown"),
}  # fmt: skip
_KNOWN_AS = {other: name for name, others in _OTHER_NAMES.items() for other in others}
# "+json" and the like (RFC 6839, RFC 9512): structured text, whatever else it is.
_SUFFIXES = {"+json": "application/json", "+xml": "text/xml", "+yaml": "text/yaml"}


def media_type_of(given: str | None) -> str:
    """A media type by its one name, without parameters and in lower case; "" where there is none."""
    essence = (given or "").partition(";")[0].strip().lower()
    if essence in _KNOWN_AS:
        return _KNOWN_AS[essence]
    kind, _, _ = essence.partition("/")
    if kind == "application":
        return next((name for suffix, name in _SUFFIXES.items() if essence.endswith(suffix)), essence)
    return essence


def covers(modes: Iterable[str], given: str) -> bool:
    """Whether one of the modes is the media type `given` by any of its names, its kind (`text/*`) or all (`*/*`)."""
    essence, name = given.partition(";")[0].strip().lower(), media_type_of(given)
    taken = {essence, name, *(f"{each.partition('/')[0]}/*" for each in (essence, name)), "*/*"}
    return any(mode.strip().lower() in taken or media_type_of(mode) == name for mode in modes)
