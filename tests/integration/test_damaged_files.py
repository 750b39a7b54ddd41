"""An agent with a damaged file names it and the remedy, and deletes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tailrace import AgentApp, AgentCard
from tailrace.config import Settings
from tailrace.errors import StoreDamaged
from tests.sample_agents import event_burst


@pytest.mark.parametrize("name", ["checkpoints-a.sqlite3", "log.sqlite3"])
@pytest.mark.parametrize("content", [b"not a database " * 400, b"SQLite format 3\0" + b"x" * 5_000])
async def test_an_agent_names_its_damaged_file_at_startup(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    card = AgentCard(name="a", description="For tests.", version="1", skills=[])
    app = AgentApp(event_burst.builder, card, settings=Settings(data_dir=str(tmp_path)))
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(StoreDamaged):
        await app({"type": "lifespan", "state": {}}, receive, send)
    (failed,) = sent
    assert failed["type"] == "lifespan.startup.failed"
    assert failed["message"].startswith(f"The file {tmp_path / name} is damaged: SQLite says 'file is not a database'")
    assert "Traceback" not in failed["message"]
    assert (tmp_path / name).read_bytes() == content


async def test_an_agent_names_a_file_that_is_damaged_after_its_header(tmp_path: Path) -> None:
    card = AgentCard(name="a", description="For tests.", version="1", skills=[])
    path = tmp_path / "checkpoints-a.sqlite3"
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup" if not sent else "lifespan.shutdown"}

    async def send(message: Any) -> None:
        sent.append(message)

    await AgentApp(event_burst.builder, card, settings=Settings(data_dir=str(tmp_path)))(
        {"type": "lifespan"}, receive, send
    )
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    sent.clear()
    with pytest.raises(StoreDamaged, match="database disk image is malformed"):
        await AgentApp(event_burst.builder, card, settings=Settings(data_dir=str(tmp_path)))(
            {"type": "lifespan"}, receive, send
        )
    assert sent[-1]["message"].startswith(f"The file {path} is damaged")
