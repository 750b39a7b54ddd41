"""A kind of software whose log is recorded: how it is driven, and which statement of its source writes which line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.recordings.room import Room

CONTINUES = "+"  # the label of a line that continues the entry before it, or stands before the first one
UNKNOWN = "?"  # of a line whose event the kind does not know yet


class RecordingError(Exception):
    """A recording cannot be made or read. The message says why."""


@dataclass(frozen=True)
class Kind:
    """A kind of software.

    `programs` have to be installed (Debian's names are in `packages`); what it needs of npm and PyPI is installed for
    it. `host` is the machine's name. `header` matches what stands before the message in a line that begins an entry; a
    line that it does not match continues the entry before. `record` drives the software.

    The file events/NAME.txt has a line `ID = REGEX` for each statement of the software's source that writes a line. The
    first expression that matches the whole message gives the line its event. The values of its named groups are
    appended to the id, so that a request's event has its status.
    """

    name: str
    host: str
    programs: tuple[str, ...]
    packages: str
    header: str
    record: Callable[[Room], None]
    npm: tuple[str, ...] = ()
    pypi: tuple[str, ...] = ()

    @property
    def events(self) -> dict[str, str]:
        """The regular expressions, by their events; none for a kind whose lines nobody has read yet."""
        file = Path(__file__).with_name("events") / f"{self.name}.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        return {event: pattern for event, _, pattern in (line.partition(" = ") for line in lines)}

    def labels(self, lines: list[str]) -> list[str]:
        """Return the event of each line."""
        header = re.compile(self.header)
        table = {event: re.compile(pattern) for event, pattern in self.events.items()}
        labels: list[str] = []
        for line in lines:
            begins = header.match(line)
            if begins is None:
                labels.append(CONTINUES)
                continue
            message = line[begins.end() :]
            for event, pattern in table.items():
                if found := pattern.fullmatch(message):
                    labels.append(" ".join([event, *(value for value in found.groupdict().values() if value)]))
                    break
            else:
                labels.append(UNKNOWN)
        return labels
