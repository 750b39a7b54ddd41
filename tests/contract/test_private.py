"""Only the user who runs Tailrace can read its files, from the moment they are created."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.agent.checkpoints.sqlite import open_sqlite
from tailrace.agent.memory.sqlite import open_sqlite as open_memory
from tailrace.config import Settings
from tailrace.log import open_log
from tailrace.push import open_webhooks
from tailrace.push.webhook import Webhook
from tailrace.stores.private import private_folder, write_private
from tailrace.stores.sqlite import connect_wal
from tailrace.uploads import Upload, open_uploads

HOOK = Webhook(task_id="t", id="h", url="https://example.com/h")
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@pytest.fixture(autouse=True)
def lax() -> Iterator[None]:
    """A umask that lets everybody read new files."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.stat().st_mode & OTHERS}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def fill(folder: Path) -> None:
    """Open every store with files, and check them while their write-ahead logs exist."""
    settings = Settings(data_dir=str(folder))
    log, hooks = open_log(settings), open_webhooks(settings)
    await hooks.put(HOOK)
    open_uploads(settings).grant(Upload.new("alice", 1, "ab" * 32))
    checkpoints, memory = folder / "checkpoints-a.sqlite3", folder / "memory-a.sqlite3"
    async with open_sqlite(checkpoints, 86_400) as saver, open_memory(memory) as store:
        await saver.aget_tuple({"configurable": {"thread_id": "none"}})
        await store.aput(("a",), "k", {})
        wals = {f"{name}.sqlite3-wal" for name in ("log", "checkpoints-a", "memory-a")}
        assert {*wals, "uploads"} <= set(os.listdir(folder))
        assert mode(folder) == 0o700
        assert open_to_others(folder) == set()
    await hooks.close()
    await log.close()


async def test_the_data_folder_is_private(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    await fill(tmp_path / "data")
    assert mode(tmp_path) == 0o755  # the parent folder is not ours


@pytest.mark.parametrize("first", ["uploads", "push"])
async def test_every_store_creates_the_folder_private(tmp_path: Path, first: str) -> None:
    settings = Settings(data_dir=str(tmp_path / "data"))
    if first == "uploads":
        open_uploads(settings).grant(Upload.new("alice", 1, "ab" * 32))
    else:
        hooks = open_webhooks(settings)
        await hooks.put(HOOK)
        await hooks.close()
    assert mode(tmp_path / "data") == 0o700
    assert open_to_others(tmp_path / "data") == set()


async def test_a_folder_of_an_earlier_version_becomes_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    files = {f"{name}.sqlite3" for name in ("log", "push", "checkpoints-a", "memory-a")}
    for name in files:
        connection = sqlite3.connect(folder / name)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE earlier (x)")
        connection.close()
    assert open_to_others(folder) == files
    await fill(folder)


def test_a_folder_with_other_files_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    tmp_path.chmod(0o755)
    assert mode(private_folder(tmp_path)) == 0o755
    connect_wal(tmp_path / "log.sqlite3").close()
    assert mode(tmp_path / "log.sqlite3") == 0o600


def test_a_shared_folder_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert mode(private_folder(tmp_path)) == 0o1777


def test_a_secret_is_private_and_may_be_replaced(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write_private(tmp_path / "run-secret", content)
        assert (tmp_path / "run-secret").read_bytes() == content
        assert mode(tmp_path / "run-secret") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["run-secret"]


def test_reopening_a_file_keeps_its_locks(tmp_path: Path) -> None:
    """POSIX drops all locks of a process on a file when it closes any descriptor of it."""
    path = tmp_path / "log.sqlite3"
    holder = connect_wal(path)
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN IMMEDIATE")
    connect_wal(path).close()
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    tried = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "database is locked" in tried.stderr
    holder.close()
