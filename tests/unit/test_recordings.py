from __future__ import annotations

import pytest

from tests.recordings.__main__ import kind_of
from tests.recordings.kind import UNKNOWN
from tests.recordings.store import names, read


@pytest.mark.parametrize("name", names())
def test_every_line_of_a_recording_has_the_event_that_its_kind_gives_it(name: str) -> None:
    recording = read(name)
    assert recording.events == kind_of(name).labels(recording.lines)
    assert UNKNOWN not in recording.events
    for incident in recording.about.incidents:
        assert set(incident.events) <= set(recording.events)
