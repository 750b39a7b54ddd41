"""Incidents in recordings: does the log analyst name their events, and what else does it name?

The analyst gets a recording as a user's file, without an alert. An incident is found by a finding that begins during it
and has a template of which most lines are of the incident's events. A finding is extra if it begins before the
incident: what begins later may be a consequence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from log_analyst.graph import builder
from tailrace.authoring.emission import EmittedArtifact
from tailrace.authoring.emit import set_request
from tailrace.inputs.request import File, Request
from tests.recordings.store import Incident, Recording
from tests.score.templates import ours
from triage.findings import Finding

_EARLY_S = 15.0  # the analyst counts by intervals, so a finding may begin a little before its first line


class Told(msgspec.Struct, frozen=True):
    """How many incidents there were, how many of them were found, and how many findings were extra."""

    incidents: int
    found: int
    extra: int


def told(recording: Recording) -> Told:
    """Analyse a recording and judge the findings."""
    file = File(filename=f"{recording.name}.log", media_type="text/plain", text=recording.text)
    findings = asyncio.run(_findings(Request(text="What is wrong?", data=[], files=[file])))
    templates = ours(recording)
    found = sum(
        any(_tells_of(incident, recording, templates, finding) for finding in findings)
        for incident in recording.about.incidents
    )
    first = min((incident.start for incident in recording.about.incidents), default=float("inf"))
    extra = sum(_begins(finding) < first - _EARLY_S for finding in findings)
    return Told(len(recording.about.incidents), found, extra)


async def _findings(request: Request) -> list[Finding]:
    set_request(request)
    data: dict[str, Any] = {}
    async for _, emitted in builder.compile().astream({"messages": []}, stream_mode=["custom"]):
        if isinstance(emitted, EmittedArtifact):
            data = emitted.part.data
    return [Finding(**finding) for finding in data.get("findings", [])]


def _begins(finding: Finding) -> float:
    return datetime.fromisoformat(finding.start).timestamp()


def _tells_of(incident: Incident, recording: Recording, templates: list[str], finding: Finding) -> bool:
    if not incident.start - _EARLY_S <= _begins(finding) <= incident.end:
        return False
    named = set(_templates(finding))
    events = [recording.events[line] for line in recording.heads if templates[line] in named]
    return 2 * sum(event in incident.events for event in events) > len(events)


def _templates(finding: Finding) -> Iterator[str]:
    for evidence in (finding.evidence, *finding.evidence.get("routes", ())):
        if isinstance(template := evidence.get("template"), str):
            yield template
