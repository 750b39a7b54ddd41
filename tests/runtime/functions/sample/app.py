"""The sample agent that SAMPLE names, as a function."""

from __future__ import annotations

import importlib
import os

from mangum import Mangum

handler = Mangum(importlib.import_module(f"tests.sample_agents.{os.environ['SAMPLE']}").app, lifespan="off")
