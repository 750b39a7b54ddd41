"""A tool that reports progress. Each call of `progress()` is an event, which the page shows while the tool runs.

Run it, and send any text on the page:

    cp -r examples/1_progress functions/ && make run AGENT=1_progress
"""

import asyncio

from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from mangum import Mangum

from tailrace import AgentApp, AgentCard, progress, write


@tool
async def count_words(text: str) -> str:
    """Count the words of a text."""
    words = text.split()
    for done, word in enumerate(words, start=1):
        await asyncio.sleep(0.2)  # the work
        progress(f"read {word!r}", done=done, total=len(words))
    return f"Your text has {len(words)} words."


async def answer(state: MessagesState) -> None:
    """Call the tool; a model that calls it through LangGraph's `ToolNode` gives the same events."""
    write(await count_words.ainvoke({"text": state["messages"][-1].text}))


graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer")
app = AgentApp(graph, AgentCard(name="1_progress", description="Counts words.", version="1", skills=[]))
handler = Mangum(app, lifespan="off")  # for AWS Lambda
