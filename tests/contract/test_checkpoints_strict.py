"""A checkpoint may hold only types that the graph names; reading one never runs code."""

from __future__ import annotations

import enum
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel

from tailrace.agent.checkpoints import dynamodb as checkpoints_dynamodb
from tailrace.agent.checkpoints import open_checkpointer
from tailrace.config import Settings
from tailrace.errors import CheckpointRefused
from tests.contract.checkpoint_stores import BUCKET, use_stores
from tests.support.fast_moto import moto_server
from tests.support.hostile_checkpoints import Crafted, crafted


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["sqlite", "dynamodb", "dynamodb, all in s3"])
def settings(
    request: pytest.FixtureRequest, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    if request.param == "sqlite":
        return Settings(data_dir=str(tmp_path))
    table = use_stores(endpoint, endpoint, monkeypatch)
    if "s3" in request.param:
        monkeypatch.setattr(checkpoints_dynamodb, "INLINE_BYTES", 0)
    return Settings(log="dynamodb", checkpoint_table=table, bucket=BUCKET if "s3" in request.param else "")


class Color(enum.Enum):
    RED = "red"


@dataclass
class Finding:
    title: str
    color: Color


class Measured(BaseModel):
    finding: Finding
    values: list[float] = []


class Unnamed(BaseModel):
    """A type that the saver does not know."""


@pytest.fixture
async def saver(settings: Settings) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    async with AsyncExitStack() as stack:
        yield await open_checkpointer(settings, "agent", stack, {Finding, Color, Measured})


def thread(name: str) -> Any:
    return {"configurable": {"thread_id": name, "checkpoint_ns": ""}}


async def saved(saver: BaseCheckpointSaver[Any], name: str = "t", **values: Any) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint.update(id=str(uuid6()), channel_values=values)
    return await saver.aput(thread(name), checkpoint, {"step": 1}, {})


async def test_a_crafted_checkpoint_is_refused_and_runs_no_code(
    saver: BaseCheckpointSaver[Any], tmp_path: Path
) -> None:
    made = tmp_path / "made"
    ours = saver.serde
    for kind, value in crafted(made).items():
        saver.serde = Crafted(*value)
        config = await saved(saver, kind, x=1)
        saver.serde = ours
        for where in (config, thread(kind)):
            with pytest.raises(CheckpointRefused, match="cannot go on from its checkpoint: "):
                await saver.aget_tuple(where)
            with pytest.raises(CheckpointRefused):
                assert [each async for each in saver.alist(where)]
    assert not made.exists()


async def test_a_crafted_write_is_refused_and_runs_no_code(saver: BaseCheckpointSaver[Any], tmp_path: Path) -> None:
    made = tmp_path / "made"
    ours = saver.serde
    for kind, value in crafted(made).items():
        config = await saved(saver, kind, x=1)
        saver.serde = Crafted(*value)
        await saver.aput_writes(config, [("x", 1)], "task")
        saver.serde = ours
        with pytest.raises(CheckpointRefused):
            await saver.aget_tuple(config)
    assert not made.exists()


def test_the_crafted_values_run_code_without_an_allow_list(tmp_path: Path) -> None:
    """Otherwise the tests above would prove nothing."""
    made = tmp_path / "made"
    lenient = JsonPlusSerializer(allowed_msgpack_modules=True, allowed_json_modules=True, pickle_fallback=True)
    ran = set()
    for kind, value in crafted(made).items():
        lenient.loads_typed(value)
        if made.exists():
            made.unlink()
            ran.add(kind)
    assert ran == crafted(made).keys() - {"a method"}  # LangGraph has its own allow list for these


async def test_a_listed_type_is_read_back_unchanged(saver: BaseCheckpointSaver[Any]) -> None:
    value = Measured(finding=Finding("slow", Color.RED), values=[1.5])
    config = await saved(saver, measured=value, colors=[Color.RED], finding=value.finding)
    loaded = await saver.aget_tuple(config)
    assert loaded is not None
    values = loaded.checkpoint["channel_values"]
    assert values["colors"] == [Color.RED]
    assert values["finding"] == value.finding
    assert isinstance(values["measured"], Measured)


async def test_an_unlisted_type_logs_a_warning_on_save_and_is_refused_on_read(
    saver: BaseCheckpointSaver[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "tailrace.checkpoints")
    for _ in range(2):
        config = await saved(saver, many=[{"deep": Unnamed()}], color=Color.RED)
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "tailrace.checkpoints"]
    assert f"type {__name__}.Unnamed" in warning
    assert "Name the type in the annotations of the state" in warning
    with pytest.raises(CheckpointRefused, match=rf"type {__name__}\.Unnamed, which the graph does not name\. Name the"):
        await saver.aget_tuple(config)
