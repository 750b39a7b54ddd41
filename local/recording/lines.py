"""One JSON line per thing that happens, on standard output, as a service in a container writes its log."""

import json
import os
from datetime import UTC, datetime


def utc(moment: float | None = None) -> str:
    """ISO 8601 UTC with milliseconds of `moment` (seconds since the epoch; now when left out)."""
    when = datetime.now(UTC) if moment is None else datetime.fromtimestamp(moment, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write(service: str, level: str, message: str, **fields: object) -> None:
    """Write one line in a single `write`, so that services sharing a file opened for appending never mix lines."""
    line = {"time": utc(), "level": level, "service": service, "message": message, **fields}
    os.write(1, json.dumps(line, separators=(",", ":")).encode() + b"\n")
