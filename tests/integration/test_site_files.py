"""`make run` serves the page's files as CloudFront does: compressed, with their types, and never its streams."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from deploy.content_types import content_type
from gateway.owner import LocalUser
from local.site import EXTRAS, FRONTEND, create_site
from tailrace.config import Settings
from tailrace.events import Message, Part, submitted
from tailrace.log import Head
from tailrace.log.sqlite import SQLiteLog
from tests.support.http import serve

SECRET = "correct-horse-battery-staple"
TASK = "5f0b2a52-2a0f-5c44-9d5c-7a11aace0001"


@pytest_asyncio.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(data_dir=str(tmp_path), orchestrator_url="http://127.0.0.1:9/")
    site, bearer = create_site(settings, LocalUser(SECRET, "", "")), {"authorization": f"Bearer {SECRET}"}
    async with serve(site) as url, httpx.AsyncClient(base_url=url, headers=bearer, timeout=60) as http:
        yield http


async def test_each_file_has_its_type_its_bytes_and_a_vary(http: httpx.AsyncClient) -> None:
    files = {path.relative_to(FRONTEND).as_posix(): path for path in FRONTEND.rglob("*") if path.is_file()}
    files |= {f"local/{path.name}": path for path in EXTRAS.iterdir()}
    for name, path in files.items():
        response = await http.get(f"/{name}")
        assert response.content == path.read_bytes(), name
        assert response.headers["content-type"] == content_type(path), name
        assert response.headers["vary"] == "Accept-Encoding", name
        assert response.headers["x-content-type-options"] == "nosniff", name
        small_or_packed = path.stat().st_size < 500 or path.suffix == ".gz"
        assert ("content-encoding" in response.headers) is not small_or_packed, name
        plain = await http.get(f"/{name}", headers={"accept-encoding": "identity"})
        assert (plain.content, plain.headers.get("content-encoding")) == (response.content, None), name
        assert plain.headers["vary"] == "Accept-Encoding", name
        known = await http.get(f"/{name}", headers={"if-none-match": response.headers["etag"]})
        assert (known.status_code, known.content, known.headers["vary"]) == (304, b"", "Accept-Encoding"), name


async def test_modules_are_scripts_whatever_the_machine_calls_them(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimetypes.guess_type", lambda *_: ("text/plain", None))
    assert (await http.get("/app.js")).headers["content-type"] == "text/javascript; charset=utf-8"


async def test_the_page_itself_is_compressed(http: httpx.AsyncClient) -> None:
    async with http.stream("GET", "/") as response:
        packed = b"".join([chunk async for chunk in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["vary"] == "Accept-Encoding"
    assert "local/faults.js" in gzip.decompress(packed).decode()
    assert (await http.post("/", headers={"content-type": "application/json"})).status_code == 405


async def test_a_stream_is_never_compressed(http: httpx.AsyncClient, tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.sqlite3")
    head = Head(task_id=TASK, owner="local", context_id="c", agent="orchestrator")
    await log.create(head, submitted(head.source, Message(message_id="m", role="ROLE_USER", parts=[Part(text="hi")])))
    async with http.stream("GET", f"/api/stream/{TASK}", headers={"accept-encoding": "gzip"}) as response:
        assert "content-encoding" not in response.headers
        assert "vary" not in response.headers
        chunks = response.aiter_raw()
        assert (await anext(chunks)).startswith(b"retry:")
        await chunks.aclose()
    await log.close()
