"""A second specialist, so that two are asked at once."""

from __future__ import annotations

from tests.sample_agents.chaos_specialist import specialist

builder, card = specialist("dyer")
