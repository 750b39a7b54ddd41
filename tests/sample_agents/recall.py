"""A graph that writes what the user has said in its thread; it fails, rejects or asks on demand."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from tailrace import Rejected, write


async def recall(state: MessagesState) -> dict[str, Any]:
    heard = [each.text for each in state["messages"] if isinstance(each, HumanMessage)]
    if heard[-1] == "fail":
        raise RuntimeError("on demand")
    if heard[-1] == "reject":
        raise Rejected("on demand")
    answer = interrupt("Which?") if heard[-1] == "ask" else None
    write(", ".join(heard) + (f" ({answer})" if answer else ""))
    return {}


RECALL = StateGraph(MessagesState).add_node(recall).add_edge(START, "recall")
