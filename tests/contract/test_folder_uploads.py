"""The contract with a folder, whose uploads the gateway receives, and the promises of folders alone."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app import create_app
from tailrace.config import Settings
from tailrace.errors import UploadsUnavailable
from tailrace.uploads import Upload
from tailrace.uploads.folder import FolderUploads
from tests.contract.uploads_contract import LARGE, UploadsContract, of, put, read
from tests.support.http import serve

TTL_S = 1000.0


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "secret"} if folder.exists() else set()


class TestFolderUploads(UploadsContract):
    @pytest.fixture
    async def url(self, tmp_path: Path) -> AsyncIterator[str]:
        settings = Settings(data_dir=str(tmp_path), log="memory", max_upload_bytes=5_000_000)
        async with serve(create_app(settings, decide_owner=lambda _: "alice")) as url:
            yield url

    @pytest.fixture
    def uploads(self, tmp_path: Path) -> FolderUploads:
        return FolderUploads(tmp_path / "uploads", ttl_s=TTL_S)

    @pytest.fixture
    def another(self, tmp_path: Path) -> FolderUploads:
        return FolderUploads(tmp_path / "others", ttl_s=TTL_S)

    @pytest.mark.parametrize("content", [b"shorter", b"as long as it ha$", b"longer than it has to be"])
    async def test_other_content_is_refused_and_leaves_nothing(
        self, uploads: FolderUploads, url: str, tmp_path: Path, content: bytes
    ) -> None:
        upload = of(b"as long as it has")
        assert await put(uploads, url, upload, content) == 400
        assert files(tmp_path / "uploads") == set()
        assert not uploads.holds(upload)

    async def test_an_oversized_chunked_upload_is_refused(
        self, uploads: FolderUploads, url: str, tmp_path: Path
    ) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(9):
                yield b"123"

        async with httpx.AsyncClient(base_url=url) as http:
            answer = await http.put(uploads.grant(of(b"little")).url, content=pieces())
        assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")
        assert "more than 6 bytes" in answer.json()["detail"]
        assert files(tmp_path / "uploads") == set()

    async def test_an_interrupted_upload_leaves_nothing(self, uploads: FolderUploads, tmp_path: Path) -> None:
        async def breaking() -> AsyncIterator[bytes]:
            yield LARGE[:1000]
            raise ConnectionResetError

        uploads.grant(of(LARGE))
        with pytest.raises(UploadsUnavailable):
            await uploads.receive(of(LARGE), breaking())
        assert files(tmp_path / "uploads") == set()

    def test_a_token_of_another_folder_grants_nothing(self, uploads: FolderUploads, another: FolderUploads) -> None:
        token = another.grant(of(b"x")).url.rpartition("/")[2]
        assert another.granted(token) is not None
        uploads.grant(of(b"x"))
        assert uploads.granted(token) is None

    def test_a_token_expires(self, uploads: FolderUploads, monkeypatch: pytest.MonkeyPatch) -> None:
        grant = uploads.grant(of(b"x"))
        token = grant.url.rpartition("/")[2]
        monkeypatch.setattr(time, "time", lambda: grant.expires - 1)
        assert uploads.granted(token) is not None
        monkeypatch.setattr(time, "time", lambda: grant.expires)
        assert uploads.granted(token) is None

    async def test_expired_uploads_are_deleted(self, uploads: FolderUploads, url: str, tmp_path: Path) -> None:
        expired, young, given_up = of(b"old"), of(b"young"), tmp_path / "uploads" / "x.part"
        for upload, content in ((expired, b"old"), (young, b"young")):
            assert await put(uploads, url, upload, content) == 204
        given_up.touch()
        (path,) = (path for path in (tmp_path / "uploads").iterdir() if expired.id in path.name)
        for aged in (path, given_up, tmp_path / "uploads" / "secret"):
            os.utime(aged, (0, time.time() - 4 * TTL_S))
        token = uploads.grant(of(b"another")).url.rpartition("/")[2]
        assert not uploads.holds(expired)
        assert not given_up.exists()
        assert await read(uploads, young) == b"young"
        assert uploads.granted(token) is not None

    async def test_processes_that_start_together_share_one_secret(self, tmp_path: Path) -> None:
        stores = [FolderUploads(tmp_path / "uploads", ttl_s=TTL_S) for _ in range(8)]
        grants = await asyncio.gather(*(asyncio.to_thread(store.grant, of(b"x")) for store in stores))
        for grant in grants:
            assert stores[0].granted(grant.url.rpartition("/")[2]) is not None
        assert stat.S_IMODE((tmp_path / "uploads" / "secret").stat().st_mode) == 0o600
        assert files(tmp_path / "uploads") == set()

    def test_an_unusable_folder_is_reported(self, tmp_path: Path) -> None:
        (tmp_path / "uploads").write_text("in the way")
        with pytest.raises(UploadsUnavailable, match="cannot be used"):
            FolderUploads(tmp_path / "uploads", ttl_s=TTL_S).grant(of(b"x"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> FolderUploads:
    return FolderUploads(tmp_path_factory.mktemp("tokens"), ttl_s=TTL_S)


@given(upload=st.builds(lambda size: Upload.new("alice", size, "ab" * 32), st.integers(0, 10**9)), data=st.data())
def test_a_changed_token_is_refused(folder: FolderUploads, upload: Upload, data: st.DataObject) -> None:
    token = folder.grant(upload).url.rpartition("/")[2]
    assert folder.granted(token) == upload
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != token[at]))
    assert folder.granted(token[:at] + other + token[at + 1 :]) is None
    assert folder.granted(data.draw(st.text())) is None
