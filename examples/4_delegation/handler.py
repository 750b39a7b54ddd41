"""An agent that asks another agent over A2A. The other agent's progress becomes progress of this task, live.

Run it together with the agent that it asks, and send any text on the page:

    cp -r examples/[14]_* functions/ && TAILRACE_ORCHESTRATOR=4_delegation make run
"""

from langgraph.graph import START, MessagesState, StateGraph
from mangum import Mangum

from orchestrator.consult import consult
from orchestrator.planning import Specialist, delegation_to, specialist_of
from tailrace import AgentApp, AgentCard, Rejected, write
from tailrace.a2a.client import new_http
from tailrace.a2a.discovery import discover, interface_of
from tailrace.config import Settings

http, settings = new_http(), Settings.load()


async def find(name: str) -> Specialist:
    """Find an agent by name among those that TAILRACE_SPECIALIST_URLS lists. `make run` lists all agents."""
    for url in settings.specialists:
        agent = await discover(http, url, settings)
        if agent.card.name == name:
            return specialist_of(agent.card, interface_of(agent, settings))
    raise Rejected(f"There is no agent {name!r}. Copy examples/{name} to functions/.")


async def ask(state: MessagesState) -> None:
    other = await find("1_progress")
    # If this process dies here, the next one continues with the same task of the other agent.
    answer = await consult(http, delegation_to(other, topics=[], reason="it counts words"))
    write(f"The other agent says: {answer.text or answer.problem}")


graph = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask")
app = AgentApp(graph, AgentCard(name="4_delegation", description="Asks another agent.", version="1", skills=[]))
handler = Mangum(app, lifespan="off")  # for AWS Lambda
