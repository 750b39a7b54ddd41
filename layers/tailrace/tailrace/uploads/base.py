"""The store of uploads: its contract. `tests/contract/uploads_contract.py` is the contract as tests."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator

import msgspec

from tailrace.errors import UploadDamaged
from tailrace.uploads.reference import Upload

# How long a grant is valid, in seconds. An upload that has started by then may finish.
GRANT_S = 900
# How many uploads are listed at most.
LISTED = 1_000
# Bytes of one read.
CHUNK = 262_144


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The request that uploads one file: its body is the file. `expires` is in seconds since the epoch."""

    method: str
    url: str
    headers: dict[str, str]
    expires: int


class Uploads(ABC):
    """A store of uploads. Its methods block, so call them in a thread.

    The store checks size and SHA-256 when a file is uploaded, and deletes the file after the time to live.
    """

    @property
    @abstractmethod
    def id(self) -> str:
        """An opaque id: equal in two processes if they use the same store."""

    @abstractmethod
    def grant(self, upload: Upload) -> Grant:
        """A request that uploads the file of this size and SHA-256, and no other. Nothing is uploaded yet.

        Raises:
            UploadsUnavailable
        """

    @abstractmethod
    def holds(self, upload: Upload) -> bool:
        """Whether the file has been uploaded and is still stored.

        Raises:
            UploadsUnavailable
        """

    @abstractmethod
    def read(self, upload: Upload) -> Iterator[bytes]:
        """The file's bytes, in chunks.

        Raises:
            UploadUnknown: the file was not uploaded, or has expired.
            UploadsUnavailable
        """

    @abstractmethod
    def of(self, owner: str) -> list[Upload]:
        """Up to `LISTED` of the owner's files that are stored, in no order.

        Raises:
            UploadsUnavailable
        """

    @abstractmethod
    def delete(self, upload: Upload) -> None:
        """Delete the file if it is stored.

        Raises:
            UploadsUnavailable
        """


class ReceivingUploads(Uploads):
    """A store whose grants lead to the gateway, which passes the files on to the store."""

    @abstractmethod
    def granted(self, token: str) -> Upload | None:
        """The upload that a grant's token allows; None if the token is not from this store, or has expired.

        Raises:
            UploadsUnavailable
        """

    @abstractmethod
    async def receive(self, upload: Upload, chunks: AsyncIterator[bytes]) -> None:
        """Store a file. If it is not what `upload` says, or `chunks` fails, nothing stays stored.

        This may be called on an event loop. It reads no further than `upload.size`.

        Raises:
            UploadDamaged: the file has another size or SHA-256.
            UploadsUnavailable
        """


class Arrival:
    """Counts and hashes the bytes that arrive for `upload`."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._digest = hashlib.sha256()
        self._size = 0

    def takes(self, chunk: bytes) -> bool:
        """Add a chunk. False if there are now more bytes than `upload.size`."""
        self._digest.update(chunk)
        self._size += len(chunk)
        return self._size <= self._upload.size

    def check(self) -> None:
        """Compare what has arrived with `upload`.

        Raises:
            UploadDamaged: the size or the SHA-256 differs.
        """
        upload, size, sha256 = self._upload, self._size, self._digest.hexdigest()
        if size != upload.size:
            count = f"more than {upload.size:,}" if size > upload.size else f"{size:,}"
            raise UploadDamaged(f"{upload.url} has {count} bytes, but must have {upload.size:,}.")
        if sha256 != upload.sha256:
            raise UploadDamaged(f"{upload.url} has SHA-256 {sha256}, but must have {upload.sha256}.")


def verified(chunks: Iterable[bytes], upload: Upload) -> Iterator[bytes]:
    """Pass the chunks on, and check size and SHA-256 at their end.

    Raises:
        UploadDamaged: they are not what `upload` says.
    """
    arrival = Arrival(upload)
    for chunk in chunks:
        if not arrival.takes(chunk):
            break
        yield chunk
    arrival.check()
