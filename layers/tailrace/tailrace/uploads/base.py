"""Where files are kept that are too large for a message: the claim check's cloakroom."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import msgspec

from tailrace.errors import UploadDamaged
from tailrace.uploads.reference import Upload

# How long a grant holds: what has begun by then may be finished.
GRANT_S = 900
CHUNK = 262_144


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The request by which one file may be uploaded: its body is the file. `expires` is in seconds since the epoch."""

    method: str
    url: str
    headers: dict[str, str]
    expires: int


class Uploads(ABC):
    """A store of uploads. Its methods block: call them in a thread.

    What it holds it has checked for size and SHA-256 when it was uploaded. After the time to live it is gone.
    """

    @property
    @abstractmethod
    def id(self) -> str:
        """The same for all who read the same store, another for another. It tells nothing else."""

    @abstractmethod
    def grant(self, upload: Upload) -> Grant:
        """Let whoever has the answer upload the one file that `upload` tells of, and nothing else.

        Raises:
            UploadsUnavailable
        """

    @abstractmethod
    def holds(self, upload: Upload) -> bool:
        """Whether it is there.

        Raises:
            UploadsUnavailable
        """

    @abstractmethod
    def read(self, upload: Upload) -> Iterator[bytes]:
        """What was uploaded, piece by piece.

        Raises:
            UploadUnknown: it is not there (any more).
            UploadsUnavailable
        """


def verified(chunks: Iterable[bytes], upload: Upload) -> Iterator[bytes]:
    """The chunks as they come; at their end they are known to be what `upload` says.

    Raises:
        UploadDamaged: they are not.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        if size > upload.size:
            break
        yield chunk
    check(upload, size, digest.hexdigest())


def check(upload: Upload, size: int, sha256: str) -> None:
    """
    Raises:
        UploadDamaged: what came is not what `upload` says.
    """
    if size != upload.size:
        more = "more than " if size > upload.size else ""
        raise UploadDamaged(f"{upload.url} has {more}{min(size, upload.size):,} bytes, but must have {upload.size:,}.")
    if sha256 != upload.sha256:
        raise UploadDamaged(f"{upload.url} has SHA-256 {sha256}, but must have {upload.sha256}.")
