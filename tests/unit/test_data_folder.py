"""A data folder that cannot be written to is said at the start, not at the first message."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.log import open_log


def test_a_folder_on_a_read_only_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("tailrace.stores.private.new_private", refuse)
    right = r"must be a folder that can be written to \(Read-only file system\)"
    with pytest.raises(ConfigError, match=f"TAILRACE_DATA_DIR has value '{tmp_path}', but {right}"):
        open_log(Settings(log="sqlite", data_dir=str(tmp_path)))


def test_a_log_that_is_read_only_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.sqlite3").touch()
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path / "log.sqlite3")  # root may write everywhere
    with pytest.raises(ConfigError, match=r"\(log.sqlite3 is read-only\)"):
        open_log(Settings(log="sqlite", data_dir=str(tmp_path)))
    assert sorted(tmp_path.iterdir()) == [tmp_path / "log.sqlite3"]
