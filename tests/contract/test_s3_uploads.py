"""The contract with S3, as moto emulates it over HTTP, and the contents of a presigned request.

moto checks neither signatures nor checksums. S3 refuses any body that differs from what is signed here.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tailrace.errors import UploadsUnavailable, UploadUnknown
from tailrace.uploads import s3
from tailrace.uploads.s3 import S3Uploads
from tests.contract.uploads_contract import LARGE, UploadsContract, of, put, read


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3._client.cache_clear()
    yield
    s3._client.cache_clear()


class TestS3Uploads(UploadsContract):
    @pytest.fixture(autouse=True)
    def _emulated(self, aws: None, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)

    @pytest.fixture
    def url(self) -> str:
        return ""

    @pytest.fixture
    def uploads(self) -> S3Uploads:
        bucket = f"uploads-{uuid.uuid4()}"
        boto3.client("s3").create_bucket(Bucket=bucket)
        return S3Uploads(bucket)

    @pytest.fixture
    def another(self) -> S3Uploads:
        return S3Uploads("another")

    async def test_an_interrupted_download_resumes_where_it_stopped(
        self, uploads: S3Uploads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ranges = breaking(monkeypatch, times=2)
        upload = of(LARGE)
        await put(uploads, "", upload, LARGE)
        assert await read(uploads, upload) == LARGE
        assert ranges == [None, "bytes=262144-", "bytes=524288-"]

    async def test_a_download_that_is_interrupted_repeatedly_fails(
        self, uploads: S3Uploads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ranges = breaking(monkeypatch, times=99)
        upload = of(LARGE)
        await put(uploads, "", upload, LARGE)
        with pytest.raises(UploadsUnavailable, match="broke off"):
            await read(uploads, upload)
        assert len(ranges) == 4

    async def test_without_the_right_to_list_a_403_means_an_unknown_upload(
        self, uploads: S3Uploads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer_with(monkeypatch, 403)
        assert not uploads.holds(of(b"x"))
        with pytest.raises(UploadUnknown):
            await read(uploads, of(b"x"))

    async def test_any_other_refusal_is_reported_by_its_code_only(
        self, uploads: S3Uploads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer_with(monkeypatch, 400)
        with pytest.raises(UploadsUnavailable, match=r"^S3 refused: 400\.$"):
            uploads.holds(of(b"x"))


def answer_with(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Let S3 answer every request with `status` and an empty body."""
    from botocore.awsrequest import AWSResponse

    class Empty:
        def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
            return iter(())

        def read(self, *_: Any) -> bytes:
            return b""

    events = s3._client().meta.events
    events.register("before-send.s3", lambda **_: AWSResponse("", status, {}, Empty()))


def breaking(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str | None]:
    """Interrupt the first `times` responses after one chunk; return the requested ranges."""
    from botocore.exceptions import ResponseStreamingError
    from botocore.response import StreamingBody

    ranges: list[str | None] = []
    whole = StreamingBody.read

    def note(params: dict[str, Any], **_: Any) -> None:
        ranges.append(params.get("Range"))

    def read_some(self: StreamingBody, amount: int | None = None) -> bytes:
        if len(ranges) <= times and getattr(self, "broken", False):
            raise ResponseStreamingError(error="cut")
        self.broken = True  # type: ignore[attr-defined]
        return bytes(whole(self, amount))

    s3._client().meta.events.register("provide-client-params.s3.GetObject", note)
    monkeypatch.setattr(StreamingBody, "read", read_some)
    return ranges


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_grant_signs_size_and_checksum_for_the_region_of_the_bucket(
    monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    upload = of(b"content")
    grant = S3Uploads("bucket").grant(upload)
    url = urlsplit(grant.url)
    assert url.netloc == f"bucket.s3.{region}.amazonaws.com"
    assert url.path == f"/uploads/{upload.key}"
    query = parse_qs(url.query)
    assert query["X-Amz-SignedHeaders"] == ["content-length;content-type;host;x-amz-checksum-sha256"]
    assert query["X-Amz-Expires"] == ["900"]
    assert base64.b64decode(grant.headers["x-amz-checksum-sha256"]).hex() == upload.sha256
    # Another size or content has another signature.
    for other in (b"content!", b"CONTENT"):
        twin = of(other)
        forged = S3Uploads("bucket").grant(twin).url.replace(twin.key, upload.key)
        assert parse_qs(urlsplit(forged).query)["X-Amz-Signature"] != query["X-Amz-Signature"]
