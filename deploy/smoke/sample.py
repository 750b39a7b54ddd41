"""The page's sample as a message."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parents[2] / "frontend" / "sample"


def sample() -> dict[str, Any]:
    """Return the page's sample as a message (A2A 1.0 JSON)."""
    recorded = json.loads((SAMPLE / "sample.json").read_text())
    files = [
        {
            "raw": base64.b64encode((SAMPLE / each["href"]).read_bytes()).decode(),
            "filename": f"{each['filename']}.gz",
            "mediaType": "application/gzip",
        }
        for each in recorded["files"]
    ]
    return {"parts": [{"text": recorded["text"]}, {"data": {"alert": recorded["alert"]}}, *files]}
