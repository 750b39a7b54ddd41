"""An agent whose chat model is the one that TAILRACE_MODEL names. It loads it while it is imported, as authors do."""

from __future__ import annotations

from langgraph.graph import START, MessagesState, StateGraph

from tailrace import AgentApp, AgentCard
from tailrace.chat_model import chat_model

model = chat_model()


async def tell(state: MessagesState) -> MessagesState:
    assert model is not None
    return {"messages": [await model.ainvoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node(tell).add_edge(START, "tell")
app = AgentApp(graph, AgentCard(name="storyteller", description="Tells stories.", version="1", skills=[]))
