"""Uploads in an S3 bucket.

1. A grant is a presigned PUT. Size and SHA-256 are among the headers it signs, so S3 itself refuses anything else
   (Amazon S3 User Guide, "Checking object integrity" and "Download and upload objects with presigned URLs").
2. Presigning needs no request, and botocore and its client are made by the first use: a gateway that is never asked
   for an upload does not pay for them.
3. Whoever may not list a bucket is told 403 for an object that is not there: it counts as not there.
4. An answer that breaks off is taken up again where it broke off.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

from tailrace.errors import UploadsUnavailable, UploadUnknown
from tailrace.uploads.base import CHUNK, GRANT_S, Grant, Uploads
from tailrace.uploads.reference import Upload

T = TypeVar("T")

_CONNECT_S, _READ_S = 2.0, 10.0
# How often an answer that broke off is taken up again; before it has begun, botocore tries again by itself.
_TAKEN_UP = 3
_NOT_THERE = ("403", "404", "AccessDenied", "NoSuchKey")


class S3Uploads(Uploads):
    """The uploads in `bucket`, in the region and at the endpoint botocore finds. The bucket's lifecycle ends them."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    @property
    def id(self) -> str:
        return hashlib.sha256(f"s3\0{self._bucket}".encode()).hexdigest()[:16]

    def grant(self, upload: Upload) -> Grant:
        checksum = base64.b64encode(bytes.fromhex(upload.sha256)).decode()
        said = {"ContentLength": upload.size, "ContentType": "application/octet-stream", "ChecksumSHA256": checksum}
        url = _asked(
            lambda: _client().generate_presigned_url(
                "put_object", {"Bucket": self._bucket, "Key": _key(upload), **said}, GRANT_S
            )
        )
        # A client says the length by itself; a browser lets nobody else say it.
        headers = {"Content-Type": "application/octet-stream", "x-amz-checksum-sha256": checksum}
        return Grant(method="PUT", url=url, headers=headers, expires=int(time.time()) + GRANT_S)

    def holds(self, upload: Upload) -> bool:
        try:
            found = _asked(lambda: _client().head_object(Bucket=self._bucket, Key=_key(upload)))
        except _NotThere:
            return False
        return bool(found["ContentLength"] == upload.size)

    def read(self, upload: Upload) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError

        at = 0
        for left in reversed(range(_TAKEN_UP + 1)):
            body = self._body(upload, at)
            try:
                for chunk in body.iter_chunks(CHUNK):
                    at += len(chunk)
                    yield chunk
                return
            except BotoCoreError as error:
                if not left:
                    raise UploadsUnavailable(f"S3 broke off again and again: {type(error).__name__}.") from error
            finally:
                body.close()

    def _body(self, upload: Upload, at: int) -> Any:
        rest = {"Range": f"bytes={at}-"} if at else {}
        try:
            return _asked(lambda: _client().get_object(Bucket=self._bucket, Key=_key(upload), **rest))["Body"]
        except _NotThere:
            raise UploadUnknown(upload.url) from None


def _key(upload: Upload) -> str:
    # The bucket also holds large checkpoints.
    return f"uploads/{upload.key}"


class _NotThere(Exception):
    pass


def _asked(ask: Callable[[], T]) -> T:
    """An answer of S3, its errors as ours: by their code, without their text, which may hold names and numbers."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return ask()
    except ClientError as error:
        code = str(error.response["Error"].get("Code"))
        if code in _NOT_THERE:
            raise _NotThere from error
        raise UploadsUnavailable(f"S3 refused: {code}.") from error
    except BotoCoreError as error:
        raise UploadsUnavailable(f"S3 cannot be used: {type(error).__name__}.") from error


@cache
def _client() -> Any:
    """One client for the process: making one takes some 60 ms, its import 100."""
    from botocore.config import Config
    from botocore.session import get_session

    config = Config(
        signature_version="s3v4",
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"mode": "standard", "total_max_attempts": 4},
        # Reading verifies the whole by itself.
        response_checksum_validation="when_required",
        # The address in the bucket's own region: any other answers a new bucket's upload with a redirect.
        s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
    )
    return get_session().create_client("s3", config=config)
