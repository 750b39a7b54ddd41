"""A question to the user. `interrupt()` is LangGraph's own: the task waits, without a process, until the user replies.

Run it, send any text on the page, and answer the question:

    cp -r examples/3_question functions/ && TAILRACE_ORCHESTRATOR=3_question make run
"""

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from mangum import Mangum

from tailrace import AgentApp, AgentCard, write


async def book(state: MessagesState) -> None:
    people = interrupt("For how many people?")  # the node runs again from its top when the reply is there
    write(f"A table for {people} is booked.")


graph = StateGraph(MessagesState).add_node(book).add_edge(START, "book")
app = AgentApp(graph, AgentCard(name="3_question", description="Books tables.", version="1", skills=[]))
handler = Mangum(app, lifespan="off")  # for AWS Lambda
