"""Media types under one name each, where browsers, tools and stores use several; and which of them an agent takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tailrace.errors import shorten

TEXT, GZIP, UNKNOWN = "text/plain", "application/gzip", "application/octet-stream"
# Besides `text/*`, files of these types are read as text.
_TEXTS = (GZIP, "application/json", "application/x-ndjson")
# Browsers and `mimetypes` ask the system for the type of a file name. With Excel installed, `.csv` is Excel's; on Linux
# `syslog.1` is a manual page, `app.log.old` is trash, and `.dat` configures a proxy. S3 has its own name for unknown
# content.
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
    "image/jpeg": ("image/jpg", "image/pjpeg"),
    UNKNOWN: ("binary/octet-stream", "application/x-unknown", "application/unknown"),
}  # fmt: skip
_KNOWN_AS = {other: name for name, others in _OTHER_NAMES.items() for other in others}
# Suffixes of structured text (RFC 6839, RFC 9512), as in "application/problem+json".
_SUFFIXES = {"+json": "application/json", "+xml": "text/xml", "+yaml": "text/yaml"}


def media_type_of(media_type: str | None) -> str:
    """The one name of a media type, in lower case and without parameters; "" for None or ""."""
    essence = (media_type or "").partition(";")[0].strip().lower()
    if essence in _KNOWN_AS:
        return _KNOWN_AS[essence]
    kind, _, _ = essence.partition("/")
    if kind == "application":
        return next((name for suffix, name in _SUFFIXES.items() if essence.endswith(suffix)), essence)
    return essence


def covers(modes: Iterable[str], media_type: str) -> bool:
    """Whether one of the modes (A2A's word for media types) is `media_type` by any of its names, or covers it, as
    `text/*` and `*/*` do.
    """
    essence, name = media_type.partition(";")[0].strip().lower(), media_type_of(media_type)
    accepted = {essence, name, *(f"{each.partition('/')[0]}/*" for each in (essence, name)), "*/*"}
    return any(mode.strip().lower() in accepted or media_type_of(mode) == name for mode in modes)


def is_text(media_type: str) -> bool:
    """Whether files of this type, named as `media_type_of` does, are read as text. Gzip is; it holds text."""
    return media_type.startswith("text/") or media_type in _TEXTS


def not_taken(media_type: str | None, modes: Sequence[str]) -> str | None:
    """Why an agent with these input modes does not take a part of this media type; None if it does.

    A part without a type, or of the unknown type `application/octet-stream`, is taken: its content decides.
    """
    if media_type_of(media_type) in ("", UNKNOWN) or covers(modes, media_type or ""):
        return None
    essence = (media_type or "").partition(";")[0].strip().lower()
    return f"A part has mediaType {shorten(essence)!r}; this agent takes {', '.join(modes)}."
