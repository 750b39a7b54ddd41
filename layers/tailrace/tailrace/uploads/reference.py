"""What stands for an uploaded file in a message: whose it is, which it is, its size and its SHA-256.

A reference is an A2A part with a `url` that is no address: nobody can make an agent fetch something by it. It
names an object of our own store, and only an owner's own, or what is asked on the way of the owner's tasks (whose
owner is `owner/task`), may read it. The object's key has the SHA-256 in it, so a reference that names another
content names another object.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

import msgspec

from tailrace.errors import RequestError, shorten
from tailrace.owner import owners_behind

# The metadata of the part, and the extension of an agent that can read references.
UPLOADS = "urn:tailrace:a2a:upload:1"
_URL = re.compile(r"urn:tailrace:upload:([0-9a-f]{32}):([0-9a-f]{32})")
SHA256 = re.compile(r"[0-9a-f]{64}")


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """`place` stands for the owner, `id` is random; `size` is in bytes, `sha256` in hexadecimal digits."""

    place: str
    id: str
    size: int
    sha256: str

    @classmethod
    def new(cls, owner: str, size: int, sha256: str) -> Upload:
        """A reference for something that is still to be uploaded."""
        return cls(place=_place_of(owner), id=secrets.token_hex(16), size=size, sha256=sha256)

    @property
    def url(self) -> str:
        return f"urn:tailrace:upload:{self.place}:{self.id}"

    @property
    def key(self) -> str:
        """Under which it is stored."""
        return f"{self.place}/{self.id}/{self.sha256}"

    def part(self, filename: str, media_type: str) -> dict[str, Any]:
        """The A2A part that goes into a message in place of the file."""
        return {
            "url": self.url,
            "filename": filename,
            "mediaType": media_type,
            "metadata": {UPLOADS: {"size": self.size, "sha256": self.sha256}},
        }

    def readable_by(self, owner: str) -> bool:
        """Whether it is the owner's, or of whom the owner's task works for."""
        return any(_place_of(each) == self.place for each in owners_behind(owner))


def upload_in(part: dict[str, Any]) -> Upload | None:
    """The upload that a part (A2A 1.0 JSON) refers to; None when it is another kind of part.

    Raises:
        RequestError: it has a `url` that is no reference of an upload, or says too little of it.
    """
    url = part.get("url")
    if url is None:
        return None
    name = shorten(str(part.get("filename") or ""))
    match = _URL.fullmatch(url)
    if match is None:
        raise RequestError(
            f"The file {name!r} is given by its URL, which this agent does not fetch; send its content as `text`, or "
            "as `raw` in base64, or upload it (POST /api/uploads)."
        )
    said = (part.get("metadata") or {}).get(UPLOADS)
    said = said if isinstance(said, dict) else {}
    size, sha256 = said.get("size"), said.get("sha256")
    if type(size) is not int or size < 0 or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise RequestError(
            f"The upload {name!r} has metadata {shorten(str(said))}, but under {UPLOADS} must have its `size` in bytes "
            "and its `sha256` in 64 hexadecimal digits, as POST /api/uploads gave them."
        )
    return Upload(place=match[1], id=match[2], size=size, sha256=sha256)


def _place_of(owner: str) -> str:
    return hashlib.sha256(b"tailrace upload\0" + owner.encode(errors="replace")).hexdigest()[:32]
