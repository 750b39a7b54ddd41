"""From the recorded files to `frontend/sample/`: the alert, the checks, the compressed files, sample.json."""

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
SHARE = 0.05
FEWEST = 10
REQUEST = re.compile(r'\[([^]]+)\] "[^"]*" (\d{3}) ')


@dataclass(frozen=True)
class Alert:
    start: datetime
    end: datetime
    rule: str
    worst: float  # the greatest share of 5xx in a window, 0 to 1


def find_alert(access: str, window: int) -> Alert:
    """When an alert on the access log would have fired, and when it would have been over.

    For each second, the `window` seconds that end with it are looked at. The alert fires at the end of the first
    second whose window has at least FEWEST requests and more than SHARE of them answered with 5xx; it is over at
    the end of the first second after the last such window. Raises RecordingError when it never fires.
    """
    total: Counter[datetime] = Counter()
    failed: Counter[datetime] = Counter()
    for line in access.splitlines():
        if found := REQUEST.search(line):
            second = datetime.strptime(found[1], "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
            total[second] += 1
            failed[second] += found[2].startswith("5")
    if not total:
        raise RecordingError("nginx has not logged a single request")
    first, last = min(total), max(total)
    shares: dict[datetime, float] = {}
    for n in range(int((last - first).total_seconds()) + 1):
        second = first + timedelta(seconds=n)
        seconds = [second - timedelta(seconds=back) for back in range(window)]
        requests = sum(total[one] for one in seconds)
        share = sum(failed[one] for one in seconds) / requests if requests >= FEWEST else 0.0
        if share > SHARE:
            shares[second] = share
    if not shares:
        raise RecordingError("the outage is not in the access log: the alert's rule never held")
    rule = f"more than {SHARE:.0%} of at least {FEWEST} requests answered with 5xx over {window} s (access.log)"
    end = min(max(shares) + timedelta(seconds=2), last)
    return Alert(min(shares) + timedelta(seconds=1), end, rule, max(shares.values()))


def find_leaks(name: str, text: str, folder: Path) -> None:
    """Raise RecordingError when `text` names this machine, this user or their folders."""
    places = {str(folder), tempfile.gettempdir(), str(ROOT), str(Path.home())} - {"/"}
    found = [place for place in places if f"{place}/" in text]
    # A short or common name says nothing about the machine, and would be found inside honest lines.
    names = {socket.gethostname(), getpass.getuser()} - {"localhost", "nginx", "shop"}
    found += [word for word in names if len(word) > 3 and re.search(rf"\b{re.escape(word)}\b", text)]
    if found:
        raise RecordingError(f"{name} names this machine or its user ({found[0]}): it must not be published")


def compress(data: bytes) -> bytes:
    """gzip without a time or a name: the same bytes for the same data."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(data)
    return packed.getvalue()


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def check_writable(out: Path) -> None:
    """Raise RecordingError, before minutes are spent, when `out` is no folder that can be written or made."""
    there = next(place for place in [out.absolute(), *out.absolute().parents] if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise RecordingError(f"{there} is not a folder that can be written to")


def publish(folder: Path, out: Path, recorded: dict[str, object], window: int) -> dict[str, int]:
    """Write the recording in `folder` to `out`, all of it or nothing; return each file's compressed bytes.

    Raises RecordingError when the files are too large together, leak a name, or show no outage.
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
