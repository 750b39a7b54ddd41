"""The suite's agent as a function. Its module is the root of the function's code, as on Lambda."""

from __future__ import annotations

from agent import app
from mangum import Mangum

handler = Mangum(app, lifespan="off")
