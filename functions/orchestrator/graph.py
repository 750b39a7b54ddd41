"""The orchestrator's graph: plan, ask the specialists in parallel, report."""

from __future__ import annotations

import asyncio
import operator
from functools import cache
from typing import Annotated, Any, TypedDict

import httpx
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt

from orchestrator.by_model import choose, write_report
from orchestrator.classify import topics_of
from orchestrator.consult import Answer, consult, unanswered
from orchestrator.planning import Errand, Specialist, plan, specialist_of
from orchestrator.report import report
from tailrace import request, result, write
from tailrace.a2a.client import discover, interface_of, new_http
from tailrace.alert import alert_of
from tailrace.config import Settings
from tailrace.emit import emit
from tailrace.errors import AgentError, shorten
from tailrace.findings import merged

QUESTION = (
    "What should I look at? Send the logs or the metrics around the alert (a log file, a CSV, an answer of "
    "CloudWatch or Prometheus), or paste some log lines."
)


class State(TypedDict, total=False):
    """What is checkpointed: never the inputs themselves, which are in the log."""

    messages: list[Any]
    errands: list[Errand]
    answers: Annotated[list[Answer], operator.add]


@cache
def http() -> httpx.AsyncClient:
    """One HTTP client for the process: making one costs more than a request."""
    return new_http()


async def plan_errands(state: State) -> State:
    """Find out which specialists there are and whom to ask; ask the user when there is nothing to look at."""
    while not topics_of(request()):
        interrupt({"question": f"{_empty_files()}{QUESTION}"})
    specialists, missing = await _specialists()
    errands = plan(request(), specialists)
    errands = await choose(request(), specialists, errands)
    names = [errand["agent"] for errand in errands]
    text = f"Asking {' and '.join(names)}" if names else "There is no specialist to ask"
    emit("route", text=text, targets=[{"agent": e["agent"], "reason": e["reason"]} for e in errands])
    return {"errands": errands, "answers": missing}


def to_specialists(state: State) -> list[Send] | str:
    return [Send("ask", errand) for errand in state["errands"]] or "report"


async def ask(state: Errand) -> State:
    """One errand, in parallel with the others."""
    return {"answers": [await consult(http(), state)]}


async def write_up(state: State) -> State:
    """Put the specialists' findings together and write the one report."""
    answers = sorted(state["answers"], key=lambda answer: answer["agent"])
    findings = merged([answer["findings"] for answer in answers])
    templates = [template for answer in answers for template in answer["templates"]]
    result("findings", {"findings": findings, "templates": templates})
    alert = alert_of(request())
    if not await write_report(alert, answers, findings):
        for section in report(alert, answers, findings):
            write(section)
            await asyncio.sleep(0)
    return {}


def _empty_files() -> str:
    """A sentence about files that came without content, if any did."""
    empty = [file.filename for file in request().files]
    return f"Nothing is in {', '.join(shorten(name) for name in empty[:5])}. " if empty else ""


async def _specialists() -> tuple[list[Specialist], list[Answer]]:
    """The specialists that answer, and for each that does not, the line it gets in the report."""

    specialists: list[Specialist] = []
    missing: list[Answer] = []

    async def find(url: str) -> None:
        try:
            card = await discover(http(), url)
            specialists.append(specialist_of(card, interface_of(card, url)))
        except AgentError as error:
            missing.append(unanswered(url, str(error)))

    await asyncio.gather(*(find(url) for url in Settings.load().specialists))
    return sorted(specialists, key=lambda specialist: specialist["agent"]), missing


builder = StateGraph(State)
builder.add_node("plan", plan_errands)
builder.add_node("ask", ask)
builder.add_node("report", write_up)
builder.add_edge(START, "plan")
builder.add_conditional_edges("plan", to_specialists, ["ask", "report"])
builder.add_edge("ask", "report")
builder.add_edge("report", END)
