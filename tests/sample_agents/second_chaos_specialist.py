"""A second specialist, so that the orchestrator asks two at once."""

from __future__ import annotations

from tests.sample_agents.chaos_specialist import specialist

builder, card = specialist("specialist_two")
