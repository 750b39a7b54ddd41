"""An agent whose node calls a subgraph that keeps its state twice, with a question in each call, and is called twice.

It dies at one of its writes (`dies_at_a_write`).
"""

from __future__ import annotations

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from tailrace import AgentApp, AgentCard, write
from tests.sample_agents.dies_at_a_write import die_at_a_write


async def first(state: MessagesState) -> dict[str, list[tuple[str, str]]]:
    write(f"first of {len(state['messages'])}. ")
    return {"messages": [("ai", "remembered")]}


async def second(_: MessagesState) -> None:
    write(f"{interrupt('Colour?')}. ")


async def calls(state: MessagesState) -> Command[str]:
    for _ in range(2):
        called = await lasting.ainvoke({"messages": [("user", "again")]})
    write("called. ")
    return Command(goto="calls" if len(called["messages"]) < 4 else "__end__")


die_at_a_write()
lasting = StateGraph(MessagesState).add_sequence([first, second]).add_edge(START, "first").compile(checkpointer=True)
builder = StateGraph(MessagesState).add_node("calls", calls).add_edge(START, "calls")
app = AgentApp(builder, AgentCard(name="keeps_state", description="Remembers.", version="1", skills=[]))
