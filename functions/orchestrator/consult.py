"""Asks one specialist, and returns its answer or why there is none."""

from __future__ import annotations

from orchestrator.answer import SpecialistAnswer, answer_of
from orchestrator.planning import Delegation, parts_for
from tailrace import DelegationFailed, delegate, request


async def consult(delegation: Delegation) -> SpecialistAnswer:
    """Ask a specialist and return its answer. Nothing that the specialist does raises an error.

    Raises:
        GraphDrained: this attempt must end. The next one goes on with the specialist's task.
    """
    parts = parts_for(request(), delegation)
    write_to = "response" if delegation["alone"] else ""
    try:
        answer = await delegate(delegation["url"], parts, name=delegation["agent"], write_to=write_to)
    except DelegationFailed as error:
        return answer_of(error.answer, error.reason)
    return answer_of(answer)
