"""The content types of the page's files, the same on AWS and by `make run`, whatever the machine's own table says."""

from __future__ import annotations

import mimetypes
from pathlib import Path

_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".txt": "text/plain",
}


def content_type(path: Path) -> str:
    """Return the Content-Type of a file. A .gz is served as gzip, not as its content with an encoding."""
    if path.suffix == ".gz":
        return "application/gzip"
    if path.suffix in _TYPES:
        return f"{_TYPES[path.suffix]}; charset=utf-8"
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"
