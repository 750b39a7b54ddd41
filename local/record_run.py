"""Records the small run that the page's first view plays: the sample's events, without what was sent and answered.

    make run                                  # in another window
    python -m local.record_run [URL]          # http://127.0.0.1:8080 by default

It sends the sample to the default agent, and writes frontend/sample/run.json: a list of A2A StreamResponses.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import httpx

from local.run_files import SECRET, run_file
from tailrace.config import Settings

SAMPLE = Path(__file__).parents[1] / "frontend" / "sample"
_METADATA = "urn:tailrace:a2a:resume:1"
# What a timeline shows of an event.
_KEYS = ("ts", "kind", "agent", "attempt", "step", "parent", "name", "done", "total", "targets")


def record(url: str) -> list[dict[str, Any]]:
    """Send the sample, wait for its end, and return what a timeline shows of its events, in order."""
    sample = json.loads((SAMPLE / "sample.json").read_text())
    parts = [{"text": sample["text"]}, {"data": {"alert": sample["alert"]}}, *map(_file, sample["files"])]
    bearer = f"Bearer {run_file(Settings.load(), SECRET).read_text()}"
    with httpx.Client(base_url=url, headers={"Authorization": bearer}, timeout=120) as http:
        created = http.post("/api/tasks", json={"message": {"parts": parts}}).raise_for_status().json()
        frames = http.get(created["streamUrl"]).raise_for_status().text.splitlines()
    results = [json.loads(line.removeprefix("data: ")).get("result") for line in frames if line.startswith("data: ")]
    return [_reduced(result["statusUpdate"]) for result in results if result and "statusUpdate" in result]


def _file(named: dict[str, Any]) -> dict[str, str]:
    raw = base64.b64encode((SAMPLE / named["href"]).read_bytes()).decode()
    return {"raw": raw, "filename": named["href"], "mediaType": "application/gzip"}


def _reduced(update: dict[str, Any]) -> dict[str, Any]:
    texts = [part["text"] for part in update["status"].get("message", {}).get("parts", []) if "text" in part]
    status = {"state": update["status"]["state"]} | ({"message": {"parts": [{"text": texts[0]}]}} if texts else {})
    metadata = {key: value for key, value in update["metadata"][_METADATA].items() if key in _KEYS}
    return {"statusUpdate": {"status": status, "metadata": {_METADATA: metadata}}}


if __name__ == "__main__":
    events = record(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")
    (SAMPLE / "run.json").write_text("[\n" + ",\n".join(json.dumps(event) for event in events) + "\n]\n")
    print(f"{len(events)} events are in {SAMPLE / 'run.json'}")
