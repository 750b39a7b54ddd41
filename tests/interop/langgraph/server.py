"""LangGraph's own server with one graph: `python server.py PORT`. Runs in an environment of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph


async def talk(state: MessagesState) -> dict[str, list[AIMessage]]:
    return {"messages": [AIMessage(content=f"You said {str(state['messages'][-1].content)[:40]}.")]}


graph = StateGraph(MessagesState).add_node("talk", talk).add_edge(START, "talk").compile()

if __name__ == "__main__":
    from langgraph_api.cli import run_server

    os.environ |= {"LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false"}
    run_server(
        "127.0.0.1",
        int(sys.argv[1]),
        reload=False,
        open_browser=False,
        graphs={"logs_talker": f"{Path(__file__)}:graph"},
    )
