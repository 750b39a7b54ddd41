"""What the README promises about an agent in ten lines is what happens."""

from __future__ import annotations

import re
import types
from pathlib import Path

import httpx
from serving import serve
from stack import ROOT

from local.functions import specialists


async def test_the_agent_of_the_readme_works_as_it_stands(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TAILRACE_DATA_DIR", str(tmp_path))
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None
    module = types.ModuleType("greeter")
    exec(code[1], module.__dict__)
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "Ada"}]}
    async with serve(module.app) as url, httpx.AsyncClient(headers={"A2A-Version": "1.0"}) as http:
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        task = (await http.post(url, json=call)).json()["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["artifacts"][0]["parts"] == [{"text": "Hello, Ada!"}]


def test_a_folder_is_all_it_takes() -> None:
    assert specialists() == ["log_analyst", "metric_analyst"]
