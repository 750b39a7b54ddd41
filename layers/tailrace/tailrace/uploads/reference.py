"""A reference to an uploaded file: an A2A part that stands for the file in a message.

Its `url` is a URN, not an address, so nobody can use it to make an agent fetch something. It names an object of our own
store. Only the object's owner may read it, and the agents that work for the owner's tasks (with the owner
`owner/task`). The object's key contains its SHA-256, so a reference to other content is a reference to another object.
"""

from __future__ import annotations

import hashlib
import re
import secrets

import msgspec

from tailrace.errors import RequestError, shorten
from tailrace.events import Part
from tailrace.owner import owners_behind

# The key of the part's metadata, and the URI of the extension of an agent that can read references.
UPLOADS = "urn:tailrace:a2a:upload:1"
_URL = re.compile(r"urn:tailrace:upload:([0-9a-f]{32}):([0-9a-f]{32})")
_KEY = re.compile(r"([0-9a-f]{32})/([0-9a-f]{32})/([0-9a-f]{64})")
SHA256 = re.compile(r"[0-9a-f]{64}")


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An uploaded file, or one to be uploaded.

    `place` is a hash of the owner, `id` is random; `size` is in bytes, `sha256` in hexadecimal digits.
    """

    place: str
    id: str
    size: int
    sha256: str

    @classmethod
    def new(cls, owner: str, size: int, sha256: str) -> Upload:
        """A new reference, for a file that is still to be uploaded."""
        return cls(place=place_of(owner), id=secrets.token_hex(16), size=size, sha256=sha256)

    @classmethod
    def stored(cls, key: str, size: int) -> Upload | None:
        """The upload that is stored under `key`; None if it is no upload's."""
        match = _KEY.fullmatch(key)
        return cls(place=match[1], id=match[2], size=size, sha256=match[3]) if match else None

    @property
    def url(self) -> str:
        """The URN that a part has as its `url`."""
        return f"urn:tailrace:upload:{self.place}:{self.id}"

    @property
    def key(self) -> str:
        """The key of the stored object."""
        return f"{self.place}/{self.id}/{self.sha256}"

    def part(self, filename: str, media_type: str) -> Part:
        """The A2A part that stands for the file in a message."""
        metadata = {UPLOADS: {"size": self.size, "sha256": self.sha256}}
        return Part(url=self.url, filename=filename, media_type=media_type, metadata=metadata)

    def readable_by(self, owner: str) -> bool:
        """Whether the file belongs to `owner`, or to an owner whose task `owner` works for."""
        return any(place_of(each) == self.place for each in owners_behind(owner))


def upload_in(part: Part) -> Upload | None:
    """The upload that a part refers to; None if the part has no `url`.

    Raises:
        RequestError: the `url` is not a reference to an upload, or the part's metadata lack its size or SHA-256.
    """
    if part.url is None:
        return None
    name = shorten(part.filename or "")
    match = _URL.fullmatch(part.url)
    if match is None:
        raise RequestError(
            f"The file {name!r} has url {shorten(part.url)!r}, which this agent does not fetch; send its content as "
            "`text`, or as `raw` in base64, or upload it (POST /api/uploads)."
        )
    metadata = (part.metadata or {}).get(UPLOADS)
    metadata = metadata if isinstance(metadata, dict) else {}
    size, sha256 = metadata.get("size"), metadata.get("sha256")
    if type(size) is not int or size < 0 or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise RequestError(
            f"The upload {name!r} has metadata {shorten(str(metadata))}, but under {UPLOADS} must have its `size` in "
            "bytes and its `sha256` in 64 hexadecimal digits, as POST /api/uploads gave them."
        )
    return Upload(place=match[1], id=match[2], size=size, sha256=sha256)


def place_of(owner: str) -> str:
    """The first part of the key of each of the owner's files."""
    return hashlib.sha256(b"tailrace upload\0" + owner.encode(errors="replace")).hexdigest()[:32]
