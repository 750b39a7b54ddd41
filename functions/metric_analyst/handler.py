"""The metric analyst as a function."""

from __future__ import annotations

from mangum import Mangum

from metric_analyst.graph import builder
from tailrace import AgentApp, AgentCard, Skill

card = AgentCard(
    name="metric_analyst",
    description="Finds level shifts, spikes, drift and flat lines in metrics, with times, sizes and a confidence.",
    version="0.1.0",
    skills=[
        Skill(
            id="analyse-metrics",
            name="Analyse metrics",
            description="Reads CSV, CloudWatch GetMetricData and Prometheus range queries; robust statistics.",
            tags=["metrics", "anomalies", "change points"],
            examples=["Which of these series changed, and when?"],
        )
    ],
)
# The nodes read the user's files from request(), so that no checkpoint has to hold them.
app = AgentApp(builder, card, thread="task", input=lambda request: {})
handler = Mangum(app, lifespan="off")
