"""Requests to DynamoDB from asyncio: boto3's client in threads, its errors as ours, patience in one place.

Where this departs from the obvious, and why:

1. Not an asyncio HTTP client: httpx took 13 ms of CPU a request at 100 connections, botocore takes
   about 1 ms at 32; and botocore knows credentials, regions and endpoints. It blocks, so it has threads of its own.
2. botocore does not retry; `call` does. A pause is then a sleeping coroutine and not a thread that others
   wait for, and one clock bounds everything: waiting for a thread, the requests, the pauses.
3. botocore is imported and the client made by the first request, in a thread. Both take about 0.15 s, which
   whoever only imports this module does not pay.
4. An error names DynamoDB's error code but not its text, which may hold ARNs and account numbers. The
   text is in the exception's cause, for the operator's logs.

Sources: "Error handling with DynamoDB" (Amazon DynamoDB Developer Guide) for what passes when tried
again; "Exponential Backoff And Jitter" (AWS Architecture Blog) for the pauses.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tailrace.errors import LogUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")
Answer = dict[str, Any]
# An item as DynamoDB has it: each value by its type, as in `{"seq": {"N": "1"}}`.
Item = dict[str, dict[str, Any]]

_CONNECT_S = 1.0
# How long an answer may keep silent. DynamoDB answers within tens of milliseconds or is in trouble.
_READ_S = 2.0
# The nth pause is random, between nothing and the first times 2^n, and never over the longest.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
# The error codes below 500 that pass. At 500 and above, all of them do.
_PASSING = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "ThrottlingException",
    }
)


class Refused(Exception):
    """A write's condition did not hold. `there` is the item that stands there instead, if there is one.

    `again` is true when an earlier try of the same call may have been done without our hearing of it.
    """

    def __init__(self, there: Item | None) -> None:
        super().__init__("a condition did not hold")
        self.there = there
        self.again = False


class _Passing(Exception):
    """A trouble that may be over when the request is made again. Its text says what it was."""


def typed(value: str | int | bool | bytes) -> dict[str, Any]:
    """A value as DynamoDB takes it."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case _:
            return {"S": value}


def whole(answer: Answer) -> Answer:
    """For `call`: the answer as it is."""
    return answer


class Transport:
    """Requests to one table. Safe for many coroutines; `threads` is how many requests run at once.

    `holds` is what the table is for, as the errors call it.
    """

    def __init__(self, table: str, *, holds: str, patience_s: float, threads: int) -> None:
        self._table = table
        self._place = f"{holds} in table {table!r}"
        self._patience_s = patience_s
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="log-dynamodb")
        self._lock = threading.Lock()
        self._made: DynamoDBClient | None = None
        self._closed = False

    async def call(self, operation: str, request: dict[str, Any], parse: Callable[[Answer], T]) -> T:
        """What `parse` makes of the answer, in the thread that got it.

        What throttling, DynamoDB's own faults and broken connections spoil is done again until
        `patience_s` is over, so `request` must be one that may be done twice.

        Raises:
            Refused: the request's condition did not hold.
            LogUnavailable: DynamoDB was in trouble for all of `patience_s`, or refused the request.
                A write may have been done all the same.
        """
        if self._closed:
            raise LogUnavailable(f"{self._place} is closed.")
        loop, trouble, tries = asyncio.get_running_loop(), "there was no answer", 0
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    try:
                        return await loop.run_in_executor(self._pool, self._request, operation, request, parse)
                    except _Passing as passing:
                        trouble = str(passing)
                    except Refused as refused:
                        refused.again = tries > 0
                        raise
                    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**tries)
                    tries += 1
                    await asyncio.sleep(random.uniform(0, longest))  # noqa: S311
        except TimeoutError:
            raise LogUnavailable(f"{self._place} did not answer within {self._patience_s:g} s: {trouble}.") from None

    async def pages(self, request: dict[str, Any]) -> AsyncGenerator[list[Item]]:
        """The items of a Query, page by page, as far as they are asked for. Raises as `call` does."""
        start: Item | None = None
        while True:
            asked = request if start is None else {**request, "ExclusiveStartKey": start}
            answer = await self.call("query", asked, whole)
            yield answer["Items"]
            start = answer.get("LastEvaluatedKey")
            if start is None:
                return

    async def close(self) -> None:
        """Wait for the requests that run, then close their connections."""
        self._closed = True
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        if self._made is not None:
            self._made.close()

    def _request(self, operation: str, request: dict[str, Any], parse: Callable[[Answer], T]) -> T:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectionError,
            HTTPClientError,
            IncompleteReadError,
        )
        from botocore.parsers import ResponseParserError

        try:
            return parse(getattr(self._client(), operation)(TableName=self._table, **request))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ConditionalCheckFailedException":
                raise Refused(cast(Any, error.response).get("Item")) from None
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or code in _PASSING:
                raise _Passing(f"DynamoDB answered {code}") from error
            raise LogUnavailable(f"{self._place} cannot be used: {_hint(code)}.") from error
        except (HTTPClientError, ConnectionError, IncompleteReadError, ResponseParserError) as error:
            raise _Passing(f"the connection to DynamoDB failed ({type(error).__name__})") from error
        except BotoCoreError as error:
            reason = type(error).__name__
            raise LogUnavailable(f"{self._place} cannot be used: {reason}.") from error

    def _client(self) -> DynamoDBClient:
        with self._lock:
            if self._made is None:
                from botocore.config import Config
                from botocore.session import get_session

                config = Config(
                    connect_timeout=_CONNECT_S,
                    read_timeout=_READ_S,
                    retries={"mode": "standard", "total_max_attempts": 1},
                    max_pool_connections=self._threads,
                    tcp_keepalive=True,
                    parameter_validation=False,
                )
                self._made = cast("DynamoDBClient", get_session().create_client("dynamodb", config=config))
            return self._made


def _hint(code: str) -> str:
    if code == "ResourceNotFoundException":
        return "there is no such table (TAILRACE_TABLE names it; `python -m tailrace.log.table NAME` makes one)"
    return f"DynamoDB answered {code}"
