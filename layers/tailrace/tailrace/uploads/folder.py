"""Uploads in a folder, for one machine. The gateway receives them at `PUT /api/uploads/{token}`."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path

from tailrace.errors import UploadsUnavailable, UploadUnknown
from tailrace.stores.private import new_private, private_folder
from tailrace.uploads.base import CHUNK, GRANT_S, LISTED, Arrival, Grant, ReceivingUploads
from tailrace.uploads.reference import Upload, place_of

# The gateway's route for uploads; the token follows.
ROUTE = "/api/uploads/"
_TOKEN = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})\.([0-9a-f]{64})\.(\d{1,15})\.(\d{1,12})\.([0-9a-f]{64})")
_PART = ".part"
# A partial file that has not changed for this long was abandoned with its process.
_ABANDONED_S = 3600.0


class FolderUploads(ReceivingUploads):
    """The uploads in `folder`, which several processes may share. A grant deletes files older than `ttl_s` seconds."""

    def __init__(self, folder: Path, *, ttl_s: float) -> None:
        self._folder = folder
        self._ttl_s = ttl_s

    @property
    def id(self) -> str:
        return hashlib.sha256(f"folder\0{self._folder.resolve()}".encode()).hexdigest()[:16]

    def grant(self, upload: Upload) -> Grant:
        expires = int(time.time()) + GRANT_S
        with _as_unavailable():
            self._prune()
            token = self._token(upload, expires)
        headers = {"Content-Type": "application/octet-stream"}
        return Grant(method="PUT", url=ROUTE + token, headers=headers, expires=expires)

    def granted(self, token: str) -> Upload | None:
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        place, name, sha256, size, expires, _signature = match.groups()
        upload = Upload(place=place, id=name, size=int(size), sha256=sha256)
        with _as_unavailable():
            signed = hmac.compare_digest(self._token(upload, int(expires)), token)
        return upload if signed and time.time() < int(expires) else None

    async def receive(self, upload: Upload, chunks: AsyncIterator[bytes]) -> None:
        path = self._path(upload)
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}{_PART}")
        with _as_unavailable():
            arrival = Arrival(upload)
            try:
                with new_private(part) as file:
                    async for chunk in chunks:
                        if not arrival.takes(chunk):
                            break
                        file.write(chunk)
                    arrival.check()
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def holds(self, upload: Upload) -> bool:
        with _as_unavailable():
            try:
                return self._path(upload).stat().st_size == upload.size
            except FileNotFoundError:
                return False

    def read(self, upload: Upload) -> Iterator[bytes]:
        with _as_unavailable():
            try:
                file = self._path(upload).open("rb", buffering=0)
            except FileNotFoundError:
                raise UploadUnknown(upload.url) from None
            with file:
                while chunk := file.read(CHUNK):
                    yield chunk

    def of(self, owner: str) -> list[Upload]:
        with _as_unavailable():
            found = []
            for path in islice(self._folder.glob(f"{place_of(owner)}-*"), LISTED):
                with contextlib.suppress(FileNotFoundError):  # it has expired meanwhile
                    found.append(Upload.stored(path.name.replace("-", "/"), path.stat().st_size))
        return [each for each in found if each is not None]

    def delete(self, upload: Upload) -> None:
        with _as_unavailable():
            self._path(upload).unlink(missing_ok=True)

    def _path(self, upload: Upload) -> Path:
        return self._folder / upload.key.replace("/", "-")

    def _token(self, upload: Upload, expires: int) -> str:
        claims = f"{upload.place}.{upload.id}.{upload.sha256}.{upload.size}.{expires}"
        return f"{claims}.{hmac.new(self._secret(), claims.encode(), 'sha256').hexdigest()}"

    def _secret(self) -> bytes:
        """The key that signs tokens. It is made once, and every process that can read the folder has it."""
        path = self._folder / "secret"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            private_folder(self._folder.parent)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            temporary = path.with_name(f"secret.{secrets.token_hex(8)}{_PART}")
            with new_private(temporary) as file:
                file.write(secrets.token_bytes(32))
            with contextlib.suppress(FileExistsError):
                os.link(
                    temporary, path
                )  # A link appears with its whole content. If another process was faster, its file stays.
            temporary.unlink()
            return path.read_bytes()

    def _prune(self) -> None:
        if not self._folder.is_dir():
            return
        now = time.time()
        for path in self._folder.iterdir():
            lifetime_s = _ABANDONED_S if path.suffix == _PART else self._ttl_s
            with contextlib.suppress(FileNotFoundError):
                if path.name != "secret" and now - path.stat().st_mtime > lifetime_s:
                    path.unlink()


@contextlib.contextmanager
def _as_unavailable() -> Iterator[None]:
    """Raise `UploadsUnavailable` for an `OSError`. Its path is about this machine and stays in the cause."""
    try:
        yield
    except OSError as error:
        raise UploadsUnavailable(f"The folder of uploads cannot be used: {error.strerror}.") from error
