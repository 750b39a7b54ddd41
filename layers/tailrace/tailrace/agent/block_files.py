"""Files in the content of a message: the blocks of a model's answer or of a tool's result that are no text.

LangChain brings the shapes of the providers into one. What is left: a content in a `data:` URL, and images without a
type, as OpenAI's image generation gives them.
"""

from __future__ import annotations

import base64
import mimetypes
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import msgspec
from langchain_core.messages import BaseMessage

from tailrace.inputs.decode import bytes_of
from tailrace.inputs.media_types import UNKNOWN
from tailrace.naming import plain_path

_KINDS = ("image", "audio", "video", "file")
# How files of these types begin, as base64: models make images, and some do not say of which type.
_BEGINNINGS = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}


class BlockFile(msgspec.Struct, frozen=True):
    """A file: its content as `base64`, or the `url` where it is. `filename` is "" if the block names none."""

    kind: str
    media_type: str
    base64: str | None = None
    url: str | None = None
    filename: str = ""

    @property
    def size(self) -> int:
        """The size of the content in bytes."""
        return len((self.base64 or "").rstrip("=")) * 3 // 4

    @property
    def extension(self) -> str:
        """The extension of files of this type; Python knows some types, like audio/wav, by their older names only."""
        known, media_type = mimetypes.guess_extension, self.media_type
        return "" if media_type == UNKNOWN else known(media_type) or known(media_type.replace("/", "/x-", 1)) or ""


def blocks_of(message: BaseMessage) -> list[Any]:
    """The content of a message in LangChain's blocks; as it is if LangChain cannot read it: tools may say anything."""
    try:
        return list(message.content_blocks)
    except Exception:
        content = message.content if isinstance(message.content, list) else [message.content]
        return [{"type": "non_standard", "value": each} for each in content]


def is_file(block: Any) -> bool:
    """Whether a block of `content_blocks` is a file."""
    return block["type"] in _KINDS and bool(block.get("base64") or block.get("url"))


def file_of(block: Any) -> BlockFile | None:
    """The file that a block is. None if it has no URL and its content is not base64, or empty: a reader of A2A may
    refuse the event for it.
    """
    content, url, media_type = block.get("base64"), block.get("url"), block.get("mime_type")
    given = content or url
    if isinstance(given, str) and given[:5].lower() == "data:":
        named, content = _in_data_url(given)
        media_type, url = media_type or named, None
    extras = block.get("extras")
    name = block.get("filename") or (extras.get("filename") if isinstance(extras, dict) else None)
    filename = plain_path(name).rpartition("/")[2] if isinstance(name, str) else ""
    if not content and isinstance(url, str):
        return BlockFile(block["type"], str(media_type or _guessed(url)), url=url, filename=filename)
    content = "".join(content.split()) if isinstance(content, str) else ""  # MIME's base64 has lines
    if not _is_base64(content):
        return None
    begins = (named for beginning, named in _BEGINNINGS.items() if content.startswith(beginning))
    return BlockFile(block["type"], str(media_type or next(begins, UNKNOWN)), base64=content, filename=filename)


def _in_data_url(url: str) -> tuple[str, str]:
    """The media type and the content, as base64, of a `data:` URL (RFC 2397)."""
    about, _, content = url[5:].partition(",")
    media_type, *parameters = (each.strip() for each in about.split(";"))
    if "base64" in map(str.lower, parameters):
        return media_type, unquote(content)
    return media_type, base64.b64encode(unquote_to_bytes(content.encode(errors="replace"))).decode()


def _is_base64(content: str) -> bool:
    try:
        return bool(bytes_of(content))
    except ValueError:
        return False


def _guessed(url: str) -> str:
    """The media type that the end of a URL's path stands for."""
    try:
        path = urlsplit(url).path
    except ValueError:  # a model may write anything
        path = ""
    return mimetypes.guess_type(path)[0] or UNKNOWN
