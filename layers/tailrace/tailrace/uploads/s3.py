"""Uploads in an S3 bucket.

1. A grant is a presigned PUT. It signs the headers with the size and the SHA-256, so S3 refuses any other file
   (Amazon S3 User Guide, "Checking object integrity" and "Download and upload objects with presigned URLs").
2. Presigning needs no request. The first use imports botocore and makes the client, so a gateway that serves no uploads
   does not pay for them.
3. S3 answers 403 for a missing object if the caller may not list the bucket. So 403 counts as missing.
4. A read that breaks off is resumed where it broke off.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

from tailrace.errors import UploadsUnavailable, UploadUnknown
from tailrace.uploads.base import CHUNK, GRANT_S, LISTED, Grant, Uploads
from tailrace.uploads.reference import Upload, place_of

T = TypeVar("T")

_CONNECT_S, _READ_S = 2.0, 10.0
# How often a read that broke off is resumed. botocore itself retries requests whose response has not begun.
_RESUMES = 3
_MISSING_CODES = ("403", "404", "AccessDenied", "NoSuchKey")


class S3Uploads(Uploads):
    """The uploads in `bucket`, in the region and at the endpoint that botocore finds.

    The bucket's lifecycle deletes expired ones. `client` is a client of `new_client`; without it, all instances of the
    process share one.
    """

    def __init__(self, bucket: str, client: Any = None) -> None:
        self._bucket = bucket
        self._own_client = client

    @property
    def id(self) -> str:
        return hashlib.sha256(f"s3\0{self._bucket}".encode()).hexdigest()[:16]

    def grant(self, upload: Upload) -> Grant:
        checksum = base64.b64encode(bytes.fromhex(upload.sha256)).decode()
        signed = {"ContentLength": upload.size, "ContentType": "application/octet-stream", "ChecksumSHA256": checksum}
        url = _call(
            lambda: self._client().generate_presigned_url(
                "put_object", {"Bucket": self._bucket, "Key": _key(upload), **signed}, GRANT_S
            )
        )
        # Without Content-Length: every client sets it, and browsers forbid a page to set it.
        headers = {"Content-Type": "application/octet-stream", "x-amz-checksum-sha256": checksum}
        return Grant(method="PUT", url=url, headers=headers, expires=int(time.time()) + GRANT_S)

    def holds(self, upload: Upload) -> bool:
        try:
            response = _call(lambda: self._client().head_object(Bucket=self._bucket, Key=_key(upload)))
        except _Missing:
            return False
        return bool(response["ContentLength"] == upload.size)

    def read(self, upload: Upload) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError

        at = 0
        for left in reversed(range(_RESUMES + 1)):
            body = self._body(upload, at)
            try:
                for chunk in body.iter_chunks(CHUNK):
                    at += len(chunk)
                    yield chunk
                return
            except BotoCoreError as error:
                if not left:
                    raise UploadsUnavailable(f"S3 broke off {_RESUMES + 1} times: {type(error).__name__}.") from error
            finally:
                body.close()

    def of(self, owner: str) -> list[Upload]:
        prefix = f"uploads/{place_of(owner)}/"
        which = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": LISTED}
        try:
            page = _call(lambda: self._client().list_objects_v2(**which))
        except _Missing as error:  # the right to list the bucket, or the bucket itself
            raise UploadsUnavailable("S3 refused to list the uploads.") from error
        objects = page.get("Contents", ())
        found = [Upload.stored(each["Key"].removeprefix("uploads/"), each["Size"]) for each in objects]
        return [each for each in found if each is not None]

    def delete(self, upload: Upload) -> None:
        _call(lambda: self._client().delete_object(Bucket=self._bucket, Key=_key(upload)))

    def _client(self) -> Any:
        return self._own_client or _shared_client()

    def _body(self, upload: Upload, at: int) -> Any:
        rest = {"Range": f"bytes={at}-"} if at else {}
        try:
            return _call(lambda: self._client().get_object(Bucket=self._bucket, Key=_key(upload), **rest))["Body"]
        except _Missing:
            raise UploadUnknown(upload.url) from None


def _key(upload: Upload) -> str:
    # The bucket also holds large checkpoints.
    return f"uploads/{upload.key}"


class _Missing(Exception):
    """There is no such object."""


def _call(request: Callable[[], T]) -> T:
    """Make a request to S3. Its errors become ours, without their text, which may hold names and account numbers."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return request()
    except ClientError as error:
        code = str(error.response["Error"].get("Code"))
        if code in _MISSING_CODES:
            raise _Missing from error
        raise UploadsUnavailable(f"S3 refused: {code}.") from error
    except BotoCoreError as error:
        raise UploadsUnavailable(f"S3 cannot be used: {type(error).__name__}.") from error


def new_client() -> Any:
    """A client of botocore for `S3Uploads`. Making it takes about 60 ms, importing botocore 100."""
    from botocore.config import Config
    from botocore.session import get_session

    config = Config(
        signature_version="s3v4",
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"mode": "standard", "total_max_attempts": 4},
        # Readers check the SHA-256 themselves.
        response_checksum_validation="when_required",
        # The endpoint of the bucket's region: the global one redirects uploads to a new bucket.
        s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
    )
    return get_session().create_client("s3", config=config)


_shared_client = cache(new_client)
