"""Recordings on disk: `NAME.log.gz` has the lines, `NAME.events.gz` the event of each, `NAME.json` what else is known.

A line's event is the statement of the software's source that wrote it; of a line in an access log, it is the method,
route and status. The event `+` is that of a line that continues the entry before it.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec

from tests.recordings.kind import CONTINUES, UNKNOWN, Kind, RecordingError

DATA = Path(__file__).parent / "data"


class Incident(msgspec.Struct, frozen=True):
    """What was done to the software, from when to when (seconds since the epoch), and the events that tell of it."""

    what: str
    start: float
    end: float
    events: list[str]


class About(msgspec.Struct, frozen=True):
    """`header` is a regular expression for what stands before the message in a line that begins an entry."""

    packages: str
    header: str
    incidents: list[Incident]


class Recording(msgspec.Struct, frozen=True):
    """A recorded log. `events` are those of its lines."""

    name: str
    lines: list[str]
    events: list[str]
    about: About

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def heads(self) -> list[int]:
        """The numbers of the lines that begin an entry."""
        return [number for number, event in enumerate(self.events) if event != CONTINUES]


def names(folder: Path = DATA) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json"))


def read(name: str, folder: Path = DATA) -> Recording:
    """Read a recording.

    Raises:
        RecordingError: its files do not fit together.
    """
    lines, events = (_lines(folder / f"{name}.{part}.gz") for part in ("log", "events"))
    if len(lines) != len(events):
        raise RecordingError(f"{name}: {len(lines)} lines, but {len(events)} events")
    return Recording(name, lines, events, msgspec.json.decode((folder / f"{name}.json").read_bytes(), type=About))


def write(folder: Path, kind: Kind, lines: list[str], incidents: list[Incident]) -> None:
    """Label the lines and write the recording.

    Raises:
        RecordingError: a line is of no known event, or no line is of an incident's event. The recording is written all
            the same, so that the lines can be read, the table of events completed and the lines labelled again.
    """
    events = kind.labels(lines)
    about = About(kind.packages, kind.header, incidents)
    for part, content in (("log", lines), ("events", events)):
        data = "".join(f"{line}\n" for line in content).encode()
        (folder / f"{kind.name}.{part}.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    (folder / f"{kind.name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(about)) + b"\n")
    if unknown := [line for line, event in zip(lines, events, strict=True) if event == UNKNOWN]:
        raise RecordingError(f"{kind.name}: {len(unknown)} lines of no known event, such as {unknown[0]!r}")
    for incident in incidents:
        if missing := set(incident.events) - set(events):
            raise RecordingError(
                f"{kind.name}: no line of {', '.join(sorted(missing))}, which tell that {incident.what}"
            )


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]
