"""Writes a log as services in containers do: one JSON line for each event, on standard output."""

import json
import os
from datetime import UTC, datetime


def utc(moment: float | None = None) -> str:
    """Return `moment`, in seconds since the epoch, as ISO 8601 in UTC with milliseconds; without it, the time now."""
    when = datetime.now(UTC) if moment is None else datetime.fromtimestamp(moment, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write(service: str, level: str, message: str, **fields: object) -> None:
    """Write one line. One system call writes it, so that services that append to the same file never mix lines."""
    line = {"time": utc(), "level": level, "service": service, "message": message, **fields}
    os.write(1, json.dumps(line, separators=(",", ":")).encode() + b"\n")
