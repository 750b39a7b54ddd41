"""Who has not made a DynamoDB table is told by which command, and that command makes it."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from typing import Any

import pytest

from tailrace.access.dynamodb import DynamoDBCredentials
from tailrace.agent.checkpoints.store import ItemTable
from tailrace.agent.memory.dynamodb import DynamoDBStore
from tailrace.errors import TailraceError
from tailrace.log.dynamodb import DynamoDBLog
from tests.contract.dynamodb_table import use
from tests.support.fork_server import shared

STORES: dict[str, tuple[Any, Any, str]] = {
    "the log": (DynamoDBLog, lambda log: log.list("owner"), "TAILRACE_TABLE"),
    "credentials": (DynamoDBCredentials, lambda store: store.spent("key", 60), "TAILRACE_ACCESS_TABLE"),
    "checkpoints": (
        lambda name: ItemTable(name, patience_s=8), lambda table: table.all("thread", ""), "TAILRACE_CHECKPOINT_TABLE",
    ),
    "memory": (
        lambda name: DynamoDBStore(name, "agent"), lambda store: store.aget(("owner",), "key"),
        "TAILRACE_CHECKPOINT_TABLE",
    ),
}  # fmt: skip


async def said_by(module: str, name: str) -> str:
    """Run `python -m MODULE NAME`, forked, which takes less than half of the time; return what it writes."""
    with tempfile.TemporaryFile() as output:
        process = await shared().start((module, name), os.environ, {1: output.fileno(), 2: output.fileno()})
        assert await process.wait() == 0
        output.seek(0)
        return output.read().decode()


@pytest.mark.parametrize("what", STORES)
async def test_the_refusal_of_a_missing_table_names_its_setting_and_the_command_that_makes_it(
    what: str, any_dynamodb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(any_dynamodb, monkeypatch)
    opened, asked, variable = STORES[what]
    name = f"not-made-{uuid.uuid4().hex[:12]}"
    store = opened(name)
    try:
        with pytest.raises(TailraceError, match=f"'{name}' .{variable}. cannot be used: there is no such") as refused:
            await asked(store)
        command = re.search(r"`python -m (\S+) NAME`", str(refused.value))
        assert command is not None
        for said in ("was made", "already exists"):
            assert await said_by(command[1], name) == f"The table '{name}' {said}.\n"
        await asked(store)
    finally:
        await store.close()
