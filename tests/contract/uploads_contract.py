"""The contract of every store of uploads, over real HTTP.

A store's test class inherits `UploadsContract` and provides the fixtures `uploads` (an empty store), `another` (a
second one) and `url` (the base URL for the paths in its grants; "" if they are complete URLs).
"""

from __future__ import annotations

import asyncio
import hashlib
import random

import httpx
import pytest

from tailrace.errors import UploadUnknown
from tailrace.uploads import Upload, Uploads

LARGE = random.Random(4).randbytes(3_000_000)


def of(content: bytes, owner: str = "alice") -> Upload:
    return Upload.new(owner, len(content), hashlib.sha256(content).hexdigest())


async def put(uploads: Uploads, url: str, upload: Upload, content: bytes) -> int:
    """Upload `content` as the grant says; return the status of the response."""
    grant = await asyncio.to_thread(uploads.grant, upload)
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        return (await http.request(grant.method, grant.url, headers=grant.headers, content=content)).status_code


async def read(uploads: Uploads, upload: Upload) -> bytes:
    return b"".join(await asyncio.to_thread(lambda: list(uploads.read(upload))))


class UploadsContract:
    @pytest.mark.parametrize("content", [b"x", b"a line\n" * 99, LARGE], ids=["one byte", "small", "large"])
    async def test_an_upload_is_read_back_unchanged(self, uploads: Uploads, url: str, content: bytes) -> None:
        upload = of(content)
        assert not await asyncio.to_thread(uploads.holds, upload)
        assert await put(uploads, url, upload, content) in (200, 204)
        assert await asyncio.to_thread(uploads.holds, upload)
        assert await read(uploads, upload) == content

    async def test_uploading_again_changes_nothing(self, uploads: Uploads, url: str) -> None:
        upload = of(b"content")
        for _ in range(2):
            assert await put(uploads, url, upload, b"content") in (200, 204)
        assert await read(uploads, upload) == b"content"

    async def test_the_files_of_an_owner_are_listed_and_those_of_nobody_else(self, uploads: Uploads, url: str) -> None:
        mine = [of(b"one"), of(b"another")]
        for upload, content in zip(mine, (b"one", b"another"), strict=True):
            await put(uploads, url, upload, content)
        await asyncio.to_thread(uploads.grant, of(b"never uploaded"))
        assert sorted(await asyncio.to_thread(uploads.of, "alice"), key=str) == sorted(mine, key=str)
        assert await asyncio.to_thread(uploads.of, "bob") == []
        await asyncio.to_thread(uploads.delete, mine[0])
        assert await asyncio.to_thread(uploads.of, "alice") == mine[1:]

    async def test_a_large_file_is_read_in_pieces(self, uploads: Uploads, url: str) -> None:
        upload = of(LARGE)
        await put(uploads, url, upload, LARGE)
        pieces = await asyncio.to_thread(lambda: [len(chunk) for chunk in uploads.read(upload)])
        assert max(pieces) <= 1_000_000

    async def test_a_missing_upload_is_unknown(self, uploads: Uploads, url: str) -> None:
        held = of(b"content")
        await put(uploads, url, held, b"content")
        for absent in (
            of(b"content"),
            Upload(place=held.place, id=held.id, size=held.size, sha256="0" * 64),
            Upload(place="0" * 32, id=held.id, size=held.size, sha256=held.sha256),
        ):
            assert not await asyncio.to_thread(uploads.holds, absent)
            with pytest.raises(UploadUnknown, match=absent.id):
                await read(uploads, absent)

    async def test_a_deleted_upload_is_unknown(self, uploads: Uploads, url: str) -> None:
        upload, kept = of(b"content"), of(b"content")
        for each in (upload, kept):
            await put(uploads, url, each, b"content")
        for _ in range(2):
            await asyncio.to_thread(uploads.delete, upload)
            assert not await asyncio.to_thread(uploads.holds, upload)
        assert await read(uploads, kept) == b"content"

    async def test_an_upload_of_another_size_is_not_held(self, uploads: Uploads, url: str) -> None:
        held = of(b"content")
        await put(uploads, url, held, b"content")
        other = Upload(place=held.place, id=held.id, size=8, sha256=held.sha256)
        assert not await asyncio.to_thread(uploads.holds, other)

    async def test_each_store_has_its_own_id(self, uploads: Uploads, another: Uploads) -> None:
        assert len(uploads.id) == 16
        assert uploads.id != another.id
