"""The files in the data folder that last as long as one `make run`, for users who can read them.

run-secret    the secret of its processes, which lets programs in
run-address   where its page is
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from tailrace.config import Settings
from tailrace.stores.private import private_folder, write_private

SECRET, ADDRESS = "run-secret", "run-address"


def run_file(settings: Settings, name: str) -> Path:
    """Where the file `name` is."""
    return Path(settings.data_dir) / name


@contextlib.contextmanager
def run_secret(settings: Settings) -> Iterator[str]:
    """Yield the secret, which is the user's if one is set, and keep it in its file as long as the run lasts.

    Raises:
        OSError: the file cannot be written.
    """
    secret = settings.run_secret or secrets.token_urlsafe(32)
    with kept(settings, SECRET, secret):
        yield secret


@contextlib.contextmanager
def kept(settings: Settings, name: str, text: str) -> Iterator[None]:
    """Keep `text` in the file `name` until the block ends.

    Raises:
        OSError: the file cannot be written.
    """
    private_folder(Path(settings.data_dir))
    path = run_file(settings, name)
    write_private(path, text.encode())
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            if path.read_text() == text:  # unless a later run has replaced it
                path.unlink()
