"""The contract with S3, as moto emulates it over HTTP, and the contents of a presigned request.

moto checks neither signatures nor checksums. S3 refuses any body that differs from what is signed here.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tailrace.errors import UploadsUnavailable, UploadUnknown
from tailrace.uploads.s3 import S3Uploads, new_client
from tests.contract.uploads_contract import LARGE, UploadsContract, of, put, read
from tests.support.fast_moto import moto_server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


class TestS3Uploads(UploadsContract):
    @pytest.fixture(autouse=True)
    def _emulated(self, aws: None, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)

    @pytest.fixture
    def url(self) -> str:
        return ""

    @pytest.fixture
    def client(self, _emulated: None) -> Any:
        return new_client()

    @pytest.fixture
    def uploads(self, client: Any) -> S3Uploads:
        bucket = f"uploads-{uuid.uuid4()}"
        client.create_bucket(Bucket=bucket)
        return S3Uploads(bucket, client)

    @pytest.fixture
    def another(self, client: Any) -> S3Uploads:
        return S3Uploads("another", client)

    async def test_an_interrupted_download_resumes_where_it_stopped(
        self, uploads: S3Uploads, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ranges = breaking(client, monkeypatch, times=2)
        upload = of(LARGE)
        await put(uploads, "", upload, LARGE)
        assert await read(uploads, upload) == LARGE
        assert ranges == [None, "bytes=262144-", "bytes=524288-"]

    async def test_a_download_that_is_interrupted_repeatedly_fails(
        self, uploads: S3Uploads, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ranges = breaking(client, monkeypatch, times=99)
        upload = of(LARGE)
        await put(uploads, "", upload, LARGE)
        with pytest.raises(UploadsUnavailable, match="broke off"):
            await read(uploads, upload)
        assert len(ranges) == 4

    async def test_without_the_right_to_list_a_403_means_an_unknown_upload(
        self, uploads: S3Uploads, client: Any
    ) -> None:
        answer_with(client, 403)
        assert not uploads.holds(of(b"x"))
        with pytest.raises(UploadUnknown):
            await read(uploads, of(b"x"))

    async def test_any_other_refusal_is_reported_by_its_code_only(self, uploads: S3Uploads, client: Any) -> None:
        answer_with(client, 400)
        with pytest.raises(UploadsUnavailable, match=r"^S3 refused: 400\.$"):
            uploads.holds(of(b"x"))


def answer_with(client: Any, status: int) -> None:
    """Let S3 answer every request with `status` and an empty body."""
    from botocore.awsrequest import AWSResponse

    class Empty:
        def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
            return iter(())

        def read(self, *_: Any) -> bytes:
            return b""

    client.meta.events.register("before-send.s3", lambda **_: AWSResponse("", status, {}, Empty()))


def breaking(client: Any, monkeypatch: pytest.MonkeyPatch, times: int) -> list[str | None]:
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

    client.meta.events.register("provide-client-params.s3.GetObject", note)
    monkeypatch.setattr(StreamingBody, "read", read_some)
    return ranges


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_grant_signs_size_and_checksum_for_the_region_of_the_bucket(
    monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    upload, uploads = of(b"content"), S3Uploads("bucket", new_client())
    grant = uploads.grant(upload)
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
        forged = uploads.grant(twin).url.replace(twin.key, upload.key)
        assert parse_qs(urlsplit(forged).query)["X-Amz-Signature"] != query["X-Amz-Signature"]
