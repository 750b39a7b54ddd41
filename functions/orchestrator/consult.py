"""Asks one specialist, and returns its answer or why there is none."""

from __future__ import annotations

import msgspec

from orchestrator.answer import SpecialistAnswer, answer_of
from orchestrator.planning import Delegation, parts_for
from tailrace import Answer, DelegationFailed, delegate, request
from tailrace.a2a.incoming import Artifact, Part
from tailrace.authoring.emission import EmittedArtifact
from tailrace.authoring.emit import current_step, send
from tailrace.events import Part as OurPart

# Data and files up to this size are passed on, in bytes. An event of the log has room for it.
_LARGEST = 300_000


async def consult(delegation: Delegation) -> SpecialistAnswer:
    """Ask a specialist and return its answer. Nothing that the specialist does raises an error.

    Raises:
        GraphInterrupt: the specialist asks the user.
        GraphDrained: this attempt must end. The next one goes on with the specialist's task.
    """
    parts = parts_for(request(), delegation)
    write_to = "response" if delegation["alone"] else ""
    try:
        answer = await delegate(delegation["url"], parts, name=delegation["agent"], write_to=write_to)
    except DelegationFailed as error:
        return answer_of(error.answer, error.reason)
    return answer_of(_with_artifacts_passed_on(answer) if delegation["alone"] else answer)


def _with_artifacts_passed_on(answer: Answer) -> Answer:
    """Give the answer's data and files as artifacts of this task. Return the answer with the rest.

    Findings stay: the report is made of them.
    """
    if any(isinstance(data, dict) and "findings" in data for data in answer.data):
        return answer
    rest: list[Artifact] = []
    for artifact in answer.artifacts:
        name = artifact.name or artifact.artifact_id
        kept: list[Part] = []
        for number, part in enumerate(artifact.parts):
            if _fits(part):
                ours = OurPart(raw=part.raw, url=part.url, media_type=part.media_type, filename=part.filename)
                if part.data is not None:
                    ours.data = part.data
                send(EmittedArtifact(f"{name} {number + 1}" if number else name, ours, current_step()))
            else:
                kept.append(part)
        rest.append(msgspec.structs.replace(artifact, parts=kept))
    return msgspec.structs.replace(answer, artifacts=rest)


def _fits(part: Part) -> bool:
    """Whether it is data or a file that can be passed on."""
    size = len(part.raw or "") + len(part.url or "") + len(msgspec.json.encode(part.data))
    return part.text is None and size <= _LARGEST and (part.data, part.raw, part.url) != (None, None, None)
