"""An agent that asks another agent over A2A. The other agent's progress becomes progress of this task, live.

Run it together with the agent that it asks, and send any text on the page:

    cp -r examples/[14]_* functions/ && make run AGENT=4_delegation
"""

from langgraph.graph import START, MessagesState, StateGraph
from mangum import Mangum

from tailrace import AgentApp, AgentCard, DelegationFailed, Rejected, delegate, request, write


async def ask(state: MessagesState) -> None:
    try:
        # If this process dies here, the next one continues with the same task of the other agent.
        answer = await delegate("1_progress", request().parts)
    except DelegationFailed as error:
        raise Rejected(f"{error} Copy examples/1_progress to functions/.") from error
    write(f"The other agent says: {answer.text}")


graph = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask")
app = AgentApp(graph, AgentCard(name="4_delegation", description="Asks another agent.", version="1", skills=[]))
handler = Mangum(app, lifespan="off")  # for AWS Lambda
