"""The files in the data folder that last as long as `make run`, for users who can read them.

run-secret    the secret of its processes, which lets programs in
run-address   where its page is: a line for each run that uses the folder, the newest last

Runs that use one folder at the same time have one secret, and the file is there until the last of them ends. Each holds
a lock on it (flock(2)), which the system releases when a run is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from tailrace.config import Settings
from tailrace.stores.private import RUN_ADDRESS, RUN_SECRET, private_folder, write_private

SECRET, ADDRESS = RUN_SECRET, RUN_ADDRESS


def run_file(settings: Settings, name: str) -> Path:
    """Where the file `name` is."""
    return Path(settings.data_dir) / name


@contextlib.contextmanager
def run_secret(settings: Settings) -> Iterator[str]:
    """Yield the secret, and keep it in its file as long as the run lasts.

    It is the user's if one is set, else that of another run that uses the folder, else a new one. A user's own secret
    does not take the place of another run's in the file.

    Raises:
        OSError: the file cannot be written.
    """
    private_folder(Path(settings.data_dir))
    path = run_file(settings, SECRET)
    with _alone_in(settings):
        if not _is_held(path):
            write_private(path, (settings.run_secret or secrets.token_urlsafe(32)).encode())
            _keep_addresses(settings, [])  # of runs that were killed
        file = path.open()
        fcntl.flock(file, fcntl.LOCK_SH)
    with file:
        try:
            yield settings.run_secret or file.read()
        finally:
            with contextlib.suppress(FileNotFoundError), _alone_in(settings):  # the folder may be gone
                fcntl.flock(file, fcntl.LOCK_UN)
                if not _is_held(path):
                    path.unlink(missing_ok=True)
                    _keep_addresses(settings, [])


@contextlib.contextmanager
def run_address(settings: Settings, url: str) -> Iterator[None]:
    """Keep the address of the run's page in its file until the block ends.

    Raises:
        OSError: the file cannot be written.
    """
    with _alone_in(settings):
        _keep_addresses(settings, [*run_addresses(settings), url])
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError), _alone_in(settings):
            _keep_addresses(settings, [each for each in run_addresses(settings) if each != url])


def run_addresses(settings: Settings) -> list[str]:
    """The addresses of the runs that use the folder, the newest last. Some may have been killed.

    Raises:
        OSError: the file cannot be read.
    """
    with contextlib.suppress(FileNotFoundError):
        return run_file(settings, ADDRESS).read_text().splitlines()
    return []


def _keep_addresses(settings: Settings, urls: list[str]) -> None:
    path = run_file(settings, ADDRESS)
    if urls:
        write_private(path, "\n".join(urls).encode())
    else:
        path.unlink(missing_ok=True)


def _is_held(path: Path) -> bool:
    """Whether a run holds its lock on the file."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


@contextlib.contextmanager
def _alone_in(settings: Settings) -> Iterator[None]:
    """Let no other run change the files meanwhile."""
    folder = os.open(settings.data_dir, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
