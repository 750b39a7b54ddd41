"""The secret of one `make run`: its processes have it, and users who can read its file in the data folder."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from tailrace.config import Settings
from tailrace.stores.private import private_folder, write_private

FILE = "run-secret"


@contextlib.contextmanager
def run_secret(settings: Settings) -> Iterator[str]:
    """Yield the secret, which is the user's if one is set, and keep it in its file as long as the run lasts.

    Raises:
        OSError: the file cannot be written.
    """
    secret = settings.run_secret or secrets.token_urlsafe(32)
    path = private_folder(Path(settings.data_dir)) / FILE
    write_private(path, secret.encode())
    try:
        yield secret
    finally:
        with contextlib.suppress(FileNotFoundError):
            if path.read_text() == secret:  # unless a later run has replaced it
                path.unlink()
