"""Watches the folders of the functions, so that a saved file reaches its function's process.

The system reports changes (inotify, FSEvents) by the library watchfiles; nothing is polled. Changes within 50 ms of
each other are one, because editors write a file in several steps.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from importlib.util import cache_from_source
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

from local.functions import FUNCTIONS

# What an agent is made of: its code, prompts and configuration. Other files may be an agent's output, and would
# restart it for ever.
_SUFFIXES = (".py", ".md", ".txt", ".json", ".yaml", ".yml", ".toml", ".j2", ".jinja")


class _Sources(DefaultFilter):
    """Files of these suffixes, except those that editors and caches make; and the folders of the functions.

    The files of a new folder may be written before it is watched: then there is only the folder's own change.
    """

    def __call__(self, change: Change, path: str) -> bool:
        return (path.endswith(_SUFFIXES) or Path(path).parent == FUNCTIONS) and super().__call__(change, path)


async def changed_functions(names: Collection[str]) -> AsyncIterator[set[str]]:
    """Yield the names of the functions of which files were changed, made or deleted, whenever that happens.

    So is the name of a new folder with a handler.py, which is not among `names`.

    Raises:
        OSError: the folders cannot be watched, for example because the system's limit of watches is reached.
    """
    # Each by itself too, because a folder may be a link to elsewhere.
    folders = [FUNCTIONS / name for name in names if (FUNCTIONS / name).is_dir()]
    async for changes in awatch(FUNCTIONS, *folders, watch_filter=_Sources()):
        paths = [path for _, path in changes]
        _forget_bytecode(paths)
        places = [Path(path).relative_to(FUNCTIONS).parts for path in paths if Path(path).is_relative_to(FUNCTIONS)]
        new = {name for name, *_ in places if name not in names and (FUNCTIONS / name / "handler.py").exists()}
        yield new | {name for name, *file in places if file and name in names}


def _forget_bytecode(paths: Iterable[str]) -> None:
    """Delete what Python has kept of these files: it would take a file of the same second and size for the old one.

    Source: PEP 552, "Deterministic pycs"; a kept file has the source's size, and its time in seconds.
    """
    for path in paths:
        if path.endswith(".py"):
            Path(cache_from_source(path)).unlink(missing_ok=True)
