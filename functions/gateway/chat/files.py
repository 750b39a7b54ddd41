"""Artifacts that are no streamed text: data, files and sources as the AI SDK has them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.chat import chunks
from gateway.chat.chunks import Artifact, Chunk, Ours, ProviderMetadata
from tailrace.events import Part

# The artifact whose data are the sources of the answer: `[{"url", "title"?}, {"title", "mediaType", "filename"?}, …]`.
SOURCES = "sources"
_ANY_FILE = "application/octet-stream"


class _Source(msgspec.Struct, rename="camel"):
    url: str | None = None
    title: str | None = None
    media_type: str = _ANY_FILE
    filename: str | None = None


def artifact_chunks(name: str, parts: Sequence[Part]) -> list[Chunk]:
    """The chunks of an artifact's parts."""
    made: list[Chunk] = []
    for place, part in enumerate(parts):
        chunk_id = name if place == 0 else f"{name} {place}"
        if part.data is not msgspec.UNSET and part.raw is None and part.url is None:
            made += (_sources(part.data) if name == SOURCES else None) or [
                chunks.ArtifactData(chunk_id, Artifact(name, part.data))
            ]
        elif (url := _url(part)) is not None:
            metadata = ProviderMetadata(Ours(artifact=name, filename=part.filename or ""))
            made.append(chunks.File(url, part.media_type or _ANY_FILE, metadata))
    return made


def _url(part: Part) -> str | None:
    """Where a page reads the file: its content in a data URL (RFC 2397), or its address."""
    media_type = part.media_type or _ANY_FILE
    if part.raw is not None:
        return f"data:{media_type};base64,{part.raw}"
    if part.text is not None:
        return f"data:{media_type};base64,{base64.b64encode(part.text.encode(errors='replace')).decode()}"
    return part.url


def _sources(data: Any) -> list[Chunk] | None:
    """None if they do not have the form of sources."""
    try:
        sources = msgspec.convert(data, list[_Source])
    except msgspec.ValidationError:
        return None
    made: list[Chunk] = []
    for place, each in enumerate(sources):
        if each.url is not None and each.url.startswith(("https://", "http://")):
            made.append(chunks.SourceUrl(f"{SOURCES}-{place}", each.url, each.title))
        elif each.title is not None:
            made.append(chunks.SourceDocument(f"{SOURCES}-{place}", each.media_type, each.title, each.filename))
        else:
            return None
    return made
