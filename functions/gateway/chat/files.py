"""Artifacts that are no streamed text: data, files and sources as the AI SDK has them."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.chat.chunks import Artifact, ArtifactData, File, Ours, ProviderMetadata, SourceDocument, SourceUrl
from tailrace.events import Part

# The artifact whose data are the sources of the answer: `[{"url", "title"?}, {"title", "mediaType", "filename"?}, …]`.
SOURCES = "sources"
_ANY_FILE = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
# A page may make a link of a file's address.
_ADDRESSES = ("https://", "http://", "urn:")


Given = ArtifactData | File | SourceUrl | SourceDocument


class _Source(msgspec.Struct, rename="camel"):
    url: str | None = None
    title: str | None = None
    media_type: str = _ANY_FILE
    filename: str | None = None


def artifact_chunks(name: str, parts: Sequence[Part]) -> list[Given]:
    """The chunks of an artifact's parts."""
    made: list[Given] = []
    for place, part in enumerate(parts):
        has_data = part.data is not msgspec.UNSET and part.raw is None and part.url is None
        if has_data and name == SOURCES and (sources := _sources(part.data)) is not None:
            made += sources
        elif (url := _url(part)) is not None:
            metadata = ProviderMetadata(Ours(artifact=name, filename=part.filename or ""))
            made.append(File(url, _media_type(part), metadata))
        else:
            data = part.data if has_data else msgspec.to_builtins(part)
            made.append(ArtifactData(name if place == 0 else f"{name} {place}", Artifact(name, data)))
    return made


def _url(part: Part) -> str | None:
    """Where a page reads the file: its content in a data URL (RFC 2397), or its address. None if it is no file."""
    if part.raw is not None:
        return f"data:{_media_type(part)};base64,{part.raw}"
    if part.text is not None:
        return f"data:{_media_type(part)};base64,{base64.b64encode(part.text.encode(errors='replace')).decode()}"
    return part.url if part.url is not None and part.url.startswith(_ADDRESSES) else None


def _media_type(part: Part) -> str:
    """Without parameters. What is no media type would be read as content in a data URL."""
    bare = (part.media_type or "").partition(";")[0].strip()
    return bare if _MEDIA_TYPE.fullmatch(bare) else _ANY_FILE


def _sources(data: Any) -> list[Given] | None:
    """None if they do not have the form of sources."""
    try:
        sources = msgspec.convert(data, list[_Source])
    except msgspec.ValidationError:
        return None
    made: list[Given] = []
    for place, each in enumerate(sources):
        if each.url is not None and each.url.startswith(("https://", "http://")):
            made.append(SourceUrl(f"{SOURCES}-{place}", each.url, each.title))
        elif each.title is not None:
            made.append(SourceDocument(f"{SOURCES}-{place}", each.media_type, each.title, each.filename))
        else:
            return None
    return made
