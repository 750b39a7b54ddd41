"""The suite's agent as a function."""

from __future__ import annotations

from mangum import Mangum

from tests.tck.agent import app

handler = Mangum(app, lifespan="off")
