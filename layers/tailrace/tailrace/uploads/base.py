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


class Arrival:
    """What comes for `upload`, counted and hashed."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._digest = hashlib.sha256()
        self._size = 0

    def takes(self, chunk: bytes) -> bool:
        """Note a chunk; False when it is one too many."""
        self._digest.update(chunk)
        self._size += len(chunk)
        return self._size <= self._upload.size

    def check(self) -> None:
        """
        Raises:
            UploadDamaged: what came is not what `upload` says.
        """
        upload, size, sha256 = self._upload, self._size, self._digest.hexdigest()
        if size != upload.size:
            more, most = ("more than " if size > upload.size else ""), min(size, upload.size)
            raise UploadDamaged(f"{upload.url} has {more}{most:,} bytes, but must have {upload.size:,}.")
        if sha256 != upload.sha256:
            raise UploadDamaged(f"{upload.url} has SHA-256 {sha256}, but must have {upload.sha256}.")


def verified(chunks: Iterable[bytes], upload: Upload) -> Iterator[bytes]:
    """The chunks as they come; at their end they are known to be what `upload` says.

    Raises:
        UploadDamaged: they are not.
    """
    arrival = Arrival(upload)
    for chunk in chunks:
        if not arrival.takes(chunk):
            break
        yield chunk
    arrival.check()
