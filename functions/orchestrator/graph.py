"""The orchestrator's graph: plan, ask the specialists in parallel, and answer."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import msgspec
from langgraph.config import get_config
from langgraph.graph import START, StateGraph
from langgraph.types import Overwrite, Send, interrupt

from orchestrator.answer import SpecialistAnswer, together
from orchestrator.by_model import REPORT, choose, facts_of
from orchestrator.classify import topics_of
from orchestrator.consult import consult
from orchestrator.planning import Delegation, Specialist, plan, specialist_of, with_unique_names
from orchestrator.questions import abilities, is_triage, question_for
from orchestrator.report import report
from orchestrator.sections import only_text, sections
from orchestrator.synthesis import corroborated, events_of, main_event, recorded_in, told
from tailrace import request, result, write
from tailrace.a2a.discovery import DiscoveredAgent
from tailrace.authoring import run_context
from tailrace.authoring.emit import emit
from tailrace.events import Target
from tailrace.registry import specialist_urls
from triage.alert import alert_of
from triage.failures import failure_in_words
from triage.findings import in_order
from triage.model import write_report

_decode_answer = msgspec.json.Decoder(SpecialistAnswer).decode


class State(TypedDict, total=False):
    """What the nodes pass on. The user's input is not in it, because the task's log has it."""

    delegations: list[Delegation]
    answers: Annotated[list[str], operator.add]  # each a `SpecialistAnswer` as JSON (`_encoded`)


async def plan_delegations(state: State) -> State:
    """Find the specialists and decide whom to ask; if an alert has nothing to look at, ask the user for it."""
    specialists, missing = await _specialists()
    reply: Any = None
    while not (delegations := await _planned(specialists)) and _worth_asking(specialists, missing):
        # When the user answers, this node runs again from its start, and its request has the answer.
        reply = interrupt({"question": question_for(request(), reply)})
    names = [delegation["agent"] for delegation in delegations]
    text = f"Asking {' and '.join(names)}" if names else "There is no specialist to ask"
    emit("route", text=text, targets=[Target(each["agent"], each["reason"]) for each in delegations])
    if not delegations and not missing:
        write(abilities(request(), specialists))
    # In the thread there may still be the answers to the context's earlier task.
    answers: Any = Overwrite([_encoded(answer) for answer in missing])
    return {"delegations": delegations, "answers": answers}


async def _planned(specialists: list[Specialist]) -> list[Delegation]:
    return await choose(request(), _useful(specialists), plan(request(), specialists))


def _worth_asking(specialists: list[Specialist], missing: list[SpecialistAnswer]) -> bool:
    """Return whether the request is an alert without logs and metrics, and a reply that brings some could help.

    It cannot if the specialist that fits may be the missing one.
    """
    return is_triage(request(), specialists) and not (missing and topics_of(request()))


def _useful(specialists: list[Specialist]) -> list[Specialist]:
    """Return the specialists, without analysts if there is nothing to analyse."""
    return specialists if topics_of(request()) else [each for each in specialists if not each["topics"]]


def to_specialists(state: State) -> list[Send] | str:
    """Return one `ask` for each delegation, or the answer if there is none."""
    return [Send("ask", delegation) for delegation in state["delegations"]] or "answer"


async def ask(state: Delegation) -> State:
    """Ask one specialist, in parallel with the others."""
    return {"answers": [_encoded(await consult(state))]}


async def answer(state: State) -> State:
    """Put the specialists' answers together: findings become a report, texts are the answer itself."""
    answers = sorted(map(_decode_answer, state["answers"]), key=lambda each: each.agent)
    notes: list[str] = []
    findings, templates = together(answers, notes)
    if any(each.gave_findings for each in answers) or (topics_of(request()) and not only_text(answers)):
        times = [time for template in templates for time in (template.first, template.last)]
        findings = in_order(corroborated(findings, recorded_in(findings, times)))
        alert = alert_of(request())
        events = events_of(findings)
        given = {
            "findings": findings,
            "events": told(events, main_event(events, alert), findings),
            "failures": [{"words": failure_in_words(f), **msgspec.to_builtins(f)} for a in answers for f in a.failures],
            "templates": templates,
        }
        result("findings", msgspec.to_builtins(given))
        facts = facts_of(alert, answers, findings, notes)
        await write_report(REPORT, facts, report(alert, answers, findings, notes))
    else:
        streamed = any(each["alone"] for each in state["delegations"])
        for section in sections(answers, streamed=streamed):
            write(section)
    return {}


def _encoded(answer: SpecialistAnswer) -> str:
    """Return the answer as JSON. Checkpoints are msgpack, which cannot hold every number of another agent."""
    return msgspec.json.encode(answer).decode()


async def _specialists() -> tuple[list[Specialist], list[SpecialistAnswer]]:
    """Return the specialists that can be reached, and for each of the others an answer that says why not."""
    run = run_context.current.get()
    assert run is not None, "a node runs in a run"
    specialists: list[Specialist] = []
    missing: list[SpecialistAnswer] = []
    for url, agent in (await run.directory.all(specialist_urls(run.settings), fresh=True)).items():
        if isinstance(agent, DiscoveredAgent):
            specialists.append(specialist_of(agent.card, url))
        else:
            missing.append(SpecialistAnswer(agent=url, error=str(agent)))
    me = get_config()["configurable"].get("agent", "")
    return with_unique_names(specialists, me, run.settings), missing


builder = StateGraph(State)
builder.add_node("plan", plan_delegations)
builder.add_node("ask", ask)
builder.add_node("answer", answer)
builder.add_edge(START, "plan")
builder.add_conditional_edges("plan", to_specialists, ["ask", "answer"])
builder.add_edge("ask", "answer")
