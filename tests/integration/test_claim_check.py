"""Uploads: from a file that is too large for a message to the report about it, and every refusal."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailrace.a2a.types import to_json
from tailrace.stream.sse import Parser
from tailrace.uploads import UPLOADS, Upload
from tests.sample_agents import file_digests
from tests.support.checkout import ANALYSTS, checkout
from tests.support.conditions import eventually
from tests.support.gateway import Seen, System
from tests.support.in_process import system
from tests.support.processes import Stack, agent, stack

BEGAN = datetime(2026, 1, 1, 10, tzinfo=UTC)


@pytest.fixture
async def sut(tmp_path: Path) -> AsyncIterator[System]:
    async with system(file_digests.builder, tmp_path, max_upload_bytes=100_000) as running:
        yield running


def asked(content: bytes, **changes: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    return {"filename": "app.log", "mediaType": "text/plain", "size": len(content), "sha256": sha256, **changes}


async def granted(http: httpx.AsyncClient, content: bytes, **changes: Any) -> dict[str, Any]:
    answer = await http.post("/api/uploads", json=asked(content, **changes))
    assert answer.status_code == 201, answer.text
    grant: dict[str, Any] = answer.json()
    return grant


async def send(http: httpx.AsyncClient, grant: dict[str, Any], content: bytes) -> httpx.Response:
    upload = grant["upload"]
    return await http.request(upload["method"], upload["url"], headers=upload["headers"], content=content)


async def uploaded(http: httpx.AsyncClient, content: bytes, **changes: Any) -> dict[str, Any]:
    """Upload the content; return the message part that refers to it."""
    grant = await granted(http, content, **changes)
    answer = await send(http, grant, content)
    assert answer.status_code == 204, answer.text
    part: dict[str, Any] = grant["part"]
    return part


def report_of(seen: Seen) -> str:
    parts = [event["artifactUpdate"]["artifact"]["parts"][0] for event in seen.events if "artifactUpdate" in event]
    return "".join(part.get("text", "") for part in parts)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def unknown(part: dict[str, Any]) -> str:
    return f"There is no upload {part['url']!r}, or it has expired; POST /api/uploads makes one."


async def test_an_agent_reads_an_upload_and_the_log_holds_only_its_reference(sut: System) -> None:
    content = b"2026-01-01T10:00:00Z INFO all is well\n" * 1000
    part = await uploaded(sut.http, gzip.compress(content), filename="app.log.gz", mediaType="application/gzip")
    seen = await sut.read(await sut.post({"text": "recite"}, part))
    assert seen.state == "TASK_STATE_COMPLETED"
    assert f"app.log {digest(content)} 1000" in report_of(seen)
    (_, kept) = seen.events[0]["task"]["history"][0]["parts"]
    assert kept == part
    assert kept["metadata"][UPLOADS].keys() == {"size", "sha256"}
    assert len(json.dumps(seen.events[0])) < 2000


async def test_a_reply_may_refer_to_an_upload(sut: System) -> None:
    task_id = await sut.post({"text": "ask"})
    assert (await sut.read(task_id)).state == "TASK_STATE_INPUT_REQUIRED"
    part = await uploaded(sut.http, b"one\ntwo\n")
    reply = {"message": {"parts": [part]}}
    assert (await sut.http.post(f"/api/tasks/{task_id}/messages", json=reply)).status_code == 202
    assert f"app.log {digest(b'one' + bytes([10]) + b'two' + bytes([10]))} 2" in report_of(await ended(sut, task_id))


async def ended(sut: System, task_id: str) -> Seen:
    """Read a task to its end, past its question."""
    seen = Seen()

    async def over() -> bool:
        nonlocal seen
        seen = await sut.read(task_id)
        return seen.state != "TASK_STATE_INPUT_REQUIRED"

    await eventually(over)
    return seen


async def test_a_grant_names_method_url_headers_and_expiry(sut: System) -> None:
    grant = await granted(sut.http, b"content")
    assert grant.keys() == {"upload", "part"}
    assert grant["upload"].keys() == {"method", "url", "headers", "expires"}
    left = datetime.fromisoformat(grant["upload"]["expires"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < left < timedelta(minutes=16)
    again = await granted(sut.http, b"content")
    assert again["part"]["url"] != grant["part"]["url"]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"size": 100_001}, 413, ("'app.log'", "100,001", "100,000")),
        ({"size": 0}, 400, ("`size`", "0", "at least 1")),
        ({"size": "7"}, 400, ("$.size", "int")),
        ({"sha256": "abc"}, 400, ("`sha256`", "'abc'", "64")),
        ({"sha256": "AB" * 32}, 400, ("`sha256`", "lower-case")),
        ({"filename": ""}, 400, ("`filename`", "1 to 1024")),
        ({"filename": None}, 400, ("missing required field `filename`",)),
        ({"mediaType": "x" * 2000}, 400, ("`mediaType`", "2000")),
        ({"bucket": "mine"}, 400, ("bucket",)),
    ],
)
async def test_a_refused_upload_request_names_key_and_value(
    sut: System, changes: dict[str, Any], status: int, words: tuple[str, ...]
) -> None:
    answer = await sut.http.post("/api/uploads", json=asked(b"content", **changes))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    for word in words:
        assert word in answer.json()["detail"]


async def test_an_upload_requires_credentials(sut: System) -> None:
    grant = await granted(sut.http, b"content")
    async with httpx.AsyncClient(base_url=sut.url) as nobody:
        refused = await nobody.post("/api/uploads", json=asked(b"content"))
        assert (refused.status_code, "www-authenticate" in refused.headers) == (401, True)
        assert (await send(nobody, grant, b"content")).status_code == 401
    async with httpx.AsyncClient(base_url=sut.url, headers={"x-test-owner": "bob"}) as bob:
        assert (await send(bob, grant, b"content")).status_code == 403


@pytest.mark.parametrize("content", [b"shorter", b"and longer than it was said to be", b"other content"])
async def test_content_that_differs_from_its_grant_is_refused_and_not_stored(
    sut: System, tmp_path: Path, content: bytes
) -> None:
    grant = await granted(sut.http, b"right content")
    answer = await send(sut.http, grant, content)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "must " in answer.json()["detail"]
    assert {path.name for path in (tmp_path / "uploads").iterdir()} == {"secret"}
    refused = await sut.http.post("/api/tasks", json={"message": {"parts": [grant["part"]]}})
    assert (refused.status_code, refused.json()["detail"]) == (400, unknown(grant["part"]))


async def test_an_upload_of_a_disconnected_client_is_not_stored(sut: System, tmp_path: Path) -> None:
    grant = await granted(sut.http, b"x" * 99_999)
    url, folder = httpx.URL(sut.url), tmp_path / "uploads"
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = [f"PUT {grant['upload']['url']} HTTP/1.1", "Host: x", "X-Test-Owner: alice", "Content-Length: 99999", "", ""]
    writer.write("\r\n".join(head).encode() + b"x" * 50_000)
    await eventually(lambda: list(folder.glob("*.part")))
    writer.close()
    await eventually(lambda: not list(folder.glob("*.part")))
    assert {path.name for path in folder.iterdir()} == {"secret"}


async def test_another_owners_upload_is_refused_like_an_unknown_one(sut: System) -> None:
    theirs = await uploaded(sut.http, b"content")
    never = to_json(Upload.new("bob", 7, digest(b"content")).part("app.log", "text/plain"))
    task_id = await sut.post({"text": "ask"})
    await sut.read(task_id)
    for part, owner in ((theirs, "bob"), (never, "bob"), (never, "alice")):
        message = {"message": {"parts": [part]}}
        answer = await sut.http.post("/api/tasks", json=message, headers={"x-test-owner": owner})
        assert (answer.status_code, answer.json()["detail"]) == (400, unknown(part))
    reply = await sut.http.post(f"/api/tasks/{task_id}/messages", json={"message": {"parts": [never]}})
    assert (reply.status_code, reply.json()["detail"]) == (400, unknown(never))


async def test_a_changed_reference_is_refused(sut: System) -> None:
    part = await uploaded(sut.http, b"content")
    for change in ({"size": 8}, {"sha256": "0" * 64}):
        changed = {**part, "metadata": {UPLOADS: {**part["metadata"][UPLOADS], **change}}}
        answer = await sut.http.post("/api/tasks", json={"message": {"parts": [changed]}})
        assert (answer.status_code, answer.json()["detail"]) == (400, unknown(part))


@pytest.mark.parametrize(("change", "words"), [("gone", "There is no upload"), ("other", "has SHA-256")])
async def test_a_missing_or_changed_file_fails_its_task_with_a_reason(
    sut: System, tmp_path: Path, change: str, words: str
) -> None:
    part = await uploaded(sut.http, b"content")
    task_id = await sut.post({"text": "ask"}, part)
    await sut.read(task_id)
    (path,) = (path for path in (tmp_path / "uploads").iterdir() if path.name != "secret")
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(b"CONTENT")
    await sut.http.post(f"/api/tasks/{task_id}/messages", json={"message": {"parts": [{"text": "go on"}]}})
    seen = await ended(sut, task_id)
    assert seen.state == "TASK_STATE_FAILED"
    failed = seen.events[-1]["statusUpdate"]["status"]["message"]["parts"][0]["text"]
    assert words in failed
    assert part["url"] in failed
    assert report_of(seen) == ""


async def test_an_upload_without_a_grant_is_refused(sut: System, tmp_path: Path) -> None:
    for path in ("/api/uploads/token", "/api/uploads/..%2f..%2fsecret", f"/api/uploads/{'0' * 300}"):
        answer = await sut.http.put(path, content=b"content")
        assert answer.status_code in (403, 404)
    assert not (tmp_path / "uploads").exists()


# With real processes


def log(lines: int) -> bytes:
    """Return the log of a service that fails from the middle on; a line has about 130 bytes."""
    noise = random.Random(4)
    rows = []
    for number in range(lines):
        at = (BEGAN + timedelta(milliseconds=100 * number)).isoformat(timespec="milliseconds")
        level, text = "INFO", f"request {noise.getrandbits(64):x} of user {noise.randrange(10**6)} served in 12 ms"
        if number > lines // 2 and number % 10 == 0:
            level, text = "ERROR", f"connection to database db-{noise.randrange(3)} refused"
        rows.append(f"{at} {level} shop.frontend {text} trace={noise.getrandbits(96):x}")
    return "\n".join(rows).encode()


async def read(http: httpx.AsyncClient, task_id: str) -> Seen:
    seen, parser = Seen(), Parser()
    async with asyncio.timeout(120), http.stream("GET", f"/api/stream/{task_id}") as answer:
        async for chunk in answer.aiter_bytes():
            for message in parser.feed(chunk):
                seen.add(message)
    return seen


async def test_a_log_too_large_for_a_message_is_triaged(shipped: Stack) -> None:
    content = log(60_000)
    metrics = b"time,errors\n" + b"".join(
        b"%d,%d\n" % (BEGAN.timestamp() + 10 * n, 90 + n % 7 if n > 300 else n % 5) for n in range(600)
    )
    async with shipped.client() as http:
        parts = [
            await uploaded(http, content, filename="shop.log"),
            await uploaded(http, gzip.compress(metrics), filename="errors.csv.gz", mediaType="application/gzip"),
        ]
        created = await http.post("/api/tasks", json={"message": {"parts": [{"text": "errors are up"}, *parts]}})
        assert created.status_code == 201, created.text
        seen = await read(http, created.json()["id"])
    assert seen.state == "TASK_STATE_COMPLETED"
    report = report_of(seen)
    assert "connection to database" in report
    assert "`errors`" in report
    assert "Not covered" not in report
    everything = json.dumps(seen.events)
    assert "parsed 60,000 lines" in everything or "in 60,000 lines" in everything
    assert all(len(json.dumps(event)) < 400_000 for event in seen.events)


async def test_an_agent_without_upload_support_gets_the_content_or_is_named_in_the_report(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    elsewhere.mkdir()
    noise = random.Random(4).randbytes(1_000_000).hex().encode()
    async with (
        agent(elsewhere, "file_digests") as url,
        stack(here, checkout(tmp_path / "checkout", ANALYSTS), TAILRACE_SPECIALIST_URLS=url) as started,
        started.client() as http,
    ):
        small = await uploaded(http, b"2026-01-01 a line\n" * 9, filename="small.log")
        large = await uploaded(http, b"2026-01-01 " + noise, filename="large.log")
        created = await http.post("/api/tasks", json={"message": {"parts": [{"text": "recite logs"}, small, large]}})
        seen = await read(http, created.json()["id"])
    assert seen.state == "TASK_STATE_COMPLETED"
    report = report_of(seen)
    assert "cannot read uploads: large.log" in report
    assert "Not covered" not in report
