"""The orchestrator as a function."""

from __future__ import annotations

from mangum import Mangum

from orchestrator.graph import builder
from tailrace import AgentApp, AgentCard, Skill
from tailrace.a2a.card import INPUT_MODES

card = AgentCard(
    name="orchestrator",
    description="Hands a request to the agents that fit it. Of an alert with logs or metrics it writes one report.",
    version="0.1.0",
    # Images and the like are for other agents: it passes them on to those that take them.
    input_modes=(*INPUT_MODES, "image/*", "audio/*", "video/*", "application/pdf"),
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
