"""Makes `frontend/sample/` of the recorded files: finds the alert, checks, compresses and writes sample.json."""

import getpass
import gzip
import hashlib
import io
import json
import os
import re
import socket
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.recording.processes import ROOT, RecordingError

FILES = {
    "access.log": "text/plain",
    "error.log": "text/plain",
    "app.log": "text/plain",
    "metrics.csv": "text/csv",
}
MOST_COMPRESSED = 180_000  # bytes of all .gz files: the page sends them, as base64, in one request
# The alert's rule: the share of requests answered with 5xx in a window, and the least number of requests in it.
SHARE = 0.05
MIN_REQUESTS = 10
REQUEST = re.compile(r'\[([^]]+)\] "[^"]*" (\d{3}) ')


@dataclass(frozen=True)
class Alert:
    start: datetime
    end: datetime
    rule: str
    worst: float  # the greatest share of 5xx in a window, 0 to 1


def find_alert(access: str, window: int) -> Alert:
    """Return when an alert on the access log would have fired, and when it would have ended.

    Each second has a window: the `window` seconds that end with it. The alert fires at the end of the first second
    whose window has at least MIN_REQUESTS requests and more than SHARE of them answered with 5xx. It ends one second
    after the last such window.

    Raises:
        RecordingError: the alert never fires.
    """
    total: Counter[datetime] = Counter()
    failed: Counter[datetime] = Counter()
    for line in access.splitlines():
        if match := REQUEST.search(line):
            second = datetime.strptime(match[1], "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
            total[second] += 1
            failed[second] += match[2].startswith("5")
    if not total:
        raise RecordingError("nginx has not logged a single request")
    first, last = min(total), max(total)
    shares: dict[datetime, float] = {}
    for n in range(int((last - first).total_seconds()) + 1):
        second = first + timedelta(seconds=n)
        seconds = [second - timedelta(seconds=back) for back in range(window)]
        requests = sum(total[one] for one in seconds)
        share = sum(failed[one] for one in seconds) / requests if requests >= MIN_REQUESTS else 0.0
        if share > SHARE:
            shares[second] = share
    if not shares:
        raise RecordingError("the outage is not in the access log: the alert's rule never held")
    rule = f"more than {SHARE:.0%} of at least {MIN_REQUESTS} requests answered with 5xx over {window} s (access.log)"
    end = min(max(shares) + timedelta(seconds=2), last)
    return Alert(min(shares) + timedelta(seconds=1), end, rule, max(shares.values()))


def find_leaks(name: str, text: str, folder: Path) -> None:
    """Check that `text` does not name this machine, its user or their folders.

    Raises:
        RecordingError: it does.
    """
    places = {str(folder), tempfile.gettempdir(), str(ROOT), str(Path.home())} - {"/"}
    leaks = [place for place in places if f"{place}/" in text]
    # A short or common name identifies nobody, and stands in lines that have nothing to do with it.
    names = {socket.gethostname(), getpass.getuser()} - {"localhost", "nginx", "shop"}
    leaks += [word for word in names if len(word) > 3 and re.search(rf"\b{re.escape(word)}\b", text)]
    if leaks:
        raise RecordingError(f"{name} names this machine or its user ({leaks[0]}): it must not be published")


def compress(data: bytes) -> bytes:
    """Compress with gzip, without a time or a name, so that the same data gives the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(data)
    return packed.getvalue()


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def check_writable(out: Path) -> None:
    """Check that `out` is a folder that can be written, or made, before the recording takes minutes.

    Raises:
        RecordingError: it is not.
    """
    existing = next(path for path in [out.absolute(), *out.absolute().parents] if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise RecordingError(f"{existing} is not a folder that can be written to")


def publish(folder: Path, out: Path, recorded: dict[str, object], window: int) -> dict[str, int]:
    """Write the recording in `folder` to `out`, all of it or nothing; return the size of each written file in bytes.

    Raises:
        RecordingError: the files are too large together, name this machine or its user, or show no outage.
    """
    data = {name: (folder / name).read_bytes() for name in FILES}
    for name, content in data.items():
        find_leaks(name, content.decode(), folder)
    alert = find_alert(data["access.log"].decode(), window)
    packed = {f"{name}.gz": compress(content) for name, content in data.items()}
    size = sum(map(len, packed.values()))
    if size > MOST_COMPRESSED:
        text = f"the recording is {size} bytes compressed and may be {MOST_COMPRESSED}"
        raise RecordingError(f"{text}: lower --rate or --minutes")
    sample = {
        "title": "A shop stops selling: nginx, an upstream and its database",
        "text": (
            f"shop.example has been answering with 5xx since about {alert.start:%H:%M} UTC, {alert.worst:.0%} "
            "of all requests at the worst. Here are nginx's logs, the application's log and the metrics. "
            "What broke first, and what is only a symptom of it?"
        ),
        "alert": {
            "title": "shop.example: too many 5xx",
            "start": iso(alert.start),
            "end": iso(alert.end),
            "rule": alert.rule,
        },
        "recorded": recorded,
        "files": [
            {
                "filename": name,
                "mediaType": FILES[name],
                "href": f"{name}.gz",
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            for name, content in data.items()
        ],
    }
    packed["sample.json"] = (json.dumps(sample, indent=2, ensure_ascii=False) + "\n").encode()
    out.mkdir(parents=True, exist_ok=True)
    for name, content in packed.items():
        (out / f".{name}.new").write_bytes(content)
    for name in packed:
        (out / f".{name}.new").replace(out / name)
    return {name: len(content) for name, content in packed.items()}
