"""An agent that says more than its answer, and dies at a chosen point, as `killable` does.

A classifier speaks first. Then an agent says something, calls a tool and answers, and a guardrail redacts the answer.
What a reader has at the end is the same whatever happens on the way. To "be quiet" it says nothing.
"""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

from tailrace import AgentApp, AgentCard, write
from tests.sample_agents.killable import at
from tests.support.models import calls, says

POINTS = [
    *("classify:0", "classify:2", "scout:start", "scout:0", "scout:2", "look:middle", "answer:0", "answer:3"),
    *("redact:start", "redact:end"),
]


def dying(name: str) -> Any:
    return lambda place: at(f"{name}:{place}")


@tool(response_format="content_and_artifact")
async def look(place: str) -> tuple[str, dict[str, Any]]:
    """Look somewhere."""
    write("Looked. ", artifact="notes")
    await at("look:middle")
    return "Nothing.", {"rows": [1, 2]}


async def classify(state: MessagesState) -> dict[str, Any]:
    await says('{"route": "scout"}', before=dying("classify")).ainvoke(state["messages"])
    return {}


def route(state: MessagesState) -> str:
    return "rest" if state["messages"][-1].text == "be quiet" else "begin"


async def rest(_: MessagesState) -> None:
    await at("rest:start")


async def begin(_: MessagesState) -> None:
    write("Working. ")
    await at("scout:start")


async def answer(state: MessagesState) -> dict[str, Any]:
    model = says("Write to ada@example.com, then wait.", before=dying("answer"))
    return {"messages": [await model.ainvoke(state["messages"])]}


async def redact(state: MessagesState) -> dict[str, Any]:
    await at("redact:start")
    last = state["messages"][-1]
    await at("redact:end")
    return {"messages": [AIMessage(last.text.replace("ada@example.com", "[EMAIL]"), id=last.id)]}


scout = create_agent(
    says(calls("look", {"place": "here"}, text="Let me look around."), "It is quiet.", before=dying("scout")),
    [look],
    name="scout",
)
builder = StateGraph(MessagesState)
builder.add_node("classify", classify)
builder.add_node("begin", begin)
builder.add_node("rest", rest)
builder.add_node("scout", scout)
builder.add_node("answer", answer)
builder.add_node("redact", redact)
builder.add_edge(START, "classify")
builder.add_conditional_edges("classify", route, ["begin", "rest"])
builder.add_edge("begin", "scout")
builder.add_edge("scout", "answer")
builder.add_edge("answer", "redact")
app = AgentApp(builder, AgentCard(name="talkative", description="Says a lot.", version="1", skills=[]))
