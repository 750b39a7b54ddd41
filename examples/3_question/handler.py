"""A question to the user: the task waits, without a process, until a reply fits. LangGraph's `interrupt()` works too.

Run it, send any text on the page, and answer the question:

    cp -r examples/3_question functions/ && make run AGENT=3_question
"""

from langgraph.graph import START, MessagesState, StateGraph
from mangum import Mangum

from tailrace import AgentApp, AgentCard, ask, write


async def book(state: MessagesState) -> None:
    # The node runs again from its top when the answer is there.
    people = ask("For how many people?", schema={"type": "integer", "minimum": 1})
    write(f"A table for {people} is booked.")


graph = StateGraph(MessagesState).add_node(book).add_edge(START, "book")
app = AgentApp(graph, AgentCard(name="3_question", description="Books tables.", version="1", skills=[]))
handler = Mangum(app, lifespan="off")  # for AWS Lambda
