"""The log analyst as a function."""

from __future__ import annotations

from mangum import Mangum

from log_analyst.graph import builder
from tailrace import AgentApp, AgentCard, Skill

card = AgentCard(
    name="log_analyst",
    description=(
        "Finds what is new, rare, bursting or gone in logs, in an alert's window against the time before it, "
        "slow trends, new hosts and callers, and failed requests."
    ),
    version="0.1.0",
    skills=[
        Skill(
            id="analyse-logs",
            name="Analyse logs",
            description="Mines templates from plain text, JSON, logfmt, syslog and access logs.",
            tags=["logs", "templates", "errors", "trends", "hosts"],
            examples=["What changed in these logs since 14:03?"],
        )
    ],
)
# The nodes read the user's files from request(), so that no checkpoint has to hold them.
app = AgentApp(builder, card, thread="task", input=lambda request: {})
handler = Mangum(app, lifespan="off")
