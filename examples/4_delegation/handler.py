"""An agent that asks another agent over A2A. The other agent's progress becomes progress of this task, live.

Run it together with the agent that it asks, and send any text on the page:

    cp -r examples/[14]_* functions/ && TAILRACE_ORCHESTRATOR=4_delegation make run
"""

from langgraph.graph import START, MessagesState, StateGraph
from mangum import Mangum

from orchestrator.consult import consult
from tailrace import AgentApp, AgentCard, Rejected, write
from tailrace.a2a.client import new_http
from tailrace.a2a.discovery import discover, interface_of
from tailrace.config import Settings

http = new_http()


async def find(name: str) -> str:
    """The URL of the agent with this name, among those that TAILRACE_SPECIALIST_URLS lists; `make run` sets it."""
    settings = Settings.load()
    for url in settings.specialists:
        found = await discover(http, url, settings)
        if found.card.name == name:
            return interface_of(found, settings)
    raise Rejected(f"There is no agent {name!r}. Copy examples/{name} to functions/.")


async def ask(state: MessagesState) -> None:
    url = await find("1_progress")
    # This is what the orchestrator asks its specialists with: if this process dies, the next one joins the same task.
    other = await consult(http, {"agent": "1_progress", "url": url, "topics": [], "reason": "", "reads": True})
    write(f"The other agent says: {other.text or other.problem}")


graph = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask")
app = AgentApp(graph, AgentCard(name="4_delegation", description="Asks another agent.", version="1", skills=[]))
handler = Mangum(app, lifespan="off")  # for AWS Lambda
