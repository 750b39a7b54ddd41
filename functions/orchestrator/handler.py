"""The orchestrator as a function."""

from __future__ import annotations

from mangum import Mangum

from orchestrator.graph import builder
from tailrace import AgentApp, AgentCard, Skill

card = AgentCard(
    name="orchestrator",
    description="Triages an alert: asks the specialists that fit what came with it, and writes one report.",
    version="0.1.0",
    skills=[
        Skill(
            id="triage",
            name="Triage an alert",
            description="From an alert, its logs and its metrics: what happened, since when, the likely cause.",
            tags=["triage", "incident", "alert", "logs", "metrics"],
            examples=["5xx above 5 % on shop.example since 14:03"],
        )
    ],
)
# The nodes read the user's files from request(), so that no checkpoint has to hold them.
app = AgentApp(builder, card, input=lambda request: {})
handler = Mangum(app, lifespan="off")
