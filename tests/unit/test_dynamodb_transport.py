"""Requests to DynamoDB while the event loop stands still."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, cast

import pytest

from tailrace.errors import LogUnavailable
from tailrace.stores.dynamodb import Transport, unparsed

PATIENCE_S = 0.1


class Client:
    """Answers when it may, and notes that it has."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.answered = threading.Event()

    def put_item(self, **_: Any) -> dict[str, Any]:
        self.may_answer.wait(10)
        self.answered.set()
        return {"Item": {}}

    def close(self) -> None:
        pass


async def test_a_response_counts_that_came_in_time_while_the_loop_stood_still() -> None:
    client = Client()
    transport = Transport("t", content="It", no_table="-", patience_s=PATIENCE_S, threads=1, client=cast(Any, client))
    call = asyncio.create_task(transport.call("put_item", {}, unparsed))
    await asyncio.sleep(0)  # the request is on its way
    client.may_answer.set()
    assert client.answered.wait(10)
    time.sleep(2 * PATIENCE_S)  # noqa: ASYNC251 - the loop stands still
    assert await call == {"Item": {}}
    await transport.close()


async def test_a_response_that_did_not_come_in_time_does_not_count() -> None:
    client = Client()
    transport = Transport("t", content="It", no_table="-", patience_s=PATIENCE_S, threads=1, client=cast(Any, client))
    with pytest.raises(LogUnavailable, match=r"It did not answer within 0\.1 s"):
        await transport.call("put_item", {}, unparsed)
    client.may_answer.set()
    await transport.close()
