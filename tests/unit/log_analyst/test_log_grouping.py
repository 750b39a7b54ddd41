from __future__ import annotations

import statistics

from tests.score.incidents import told
from tests.score.templates import accuracy, all_recordings, ours

# It is raised with the miner, and never lowered.
_FLOOR = 0.89


def test_templates_agree_with_the_statements_that_wrote_the_lines() -> None:
    accuracies = {recording.name: accuracy(recording, ours(recording)) for recording in all_recordings()}
    assert statistics.mean(accuracies.values()) >= _FLOOR, accuracies


def test_most_incidents_of_the_recordings_are_named_and_hardly_anything_before_them() -> None:
    judged = [told(recording) for recording in all_recordings()]
    assert sum(each.found for each in judged) >= 13
    assert sum(each.extra for each in judged) <= 2
