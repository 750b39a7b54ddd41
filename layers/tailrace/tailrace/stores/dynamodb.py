"""Requests to DynamoDB from asyncio: botocore's client in threads, with retries and a time limit.

Design decisions:

1. botocore, not an asyncio HTTP client: httpx took 13 ms of CPU for a request at 100 connections, botocore takes about
   1 ms at 32, and it knows credentials, regions and endpoints. It blocks, so it has its own threads.
2. `call` retries, botocore does not. So a pause is a sleeping coroutine and not an occupied thread, and one time limit
   covers the wait for a thread, the requests and the pauses.
3. The first request imports botocore and makes the client, in a thread, unless one is passed. This takes about 0.15 s,
   which a process that only imports this module does not pay.
4. An error contains DynamoDB's error code but not its text, which may hold ARNs and account numbers. The text is in
   the exception's cause, for the operator's logs.

Sources: "Error handling with DynamoDB" (Amazon DynamoDB Developer Guide) says which errors to retry; "Exponential
Backoff And Jitter" (AWS Architecture Blog) is where the pauses come from.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
import uuid
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from tailrace.errors import LogUnavailable
from tailrace.stores.units import Units, counting

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")
# The response to a request, as botocore returns it.
Response = dict[str, Any]
# An item in DynamoDB's JSON: each value under its type, as in `{"seq": {"N": "1"}}`.
Item = dict[str, dict[str, Any]]

_NAME = re.compile(r"#(\w+)")
_CONNECT_S = 1.0
# Timeout of a read from the connection. DynamoDB usually answers within tens of milliseconds.
_READ_S = 2.0
# The nth pause is random, between 0 and the first one times 2^n, and at most the longest.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
# Error codes with an HTTP status below 500 that are worth a retry. At 500 and above, all of them are.
_RETRIED_CODES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
# Why a transaction was cancelled, where the same transaction may succeed later.
_RETRIED_REASONS = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"})


class Refused(Exception):
    """A write's condition did not hold. `item` is what is stored under the key, None if nothing is.

    With `retried`, an earlier try of the same call may have been carried out although its response was lost.
    """

    def __init__(self, item: Item | None) -> None:
        super().__init__("a condition did not hold")
        self.item = item
        self.retried = False


class Cancelled(Exception):
    """Conditions of a transaction did not hold, so nothing was written.

    `items` has, by the number of each write whose condition did not hold, from 0, what is stored under its key: None if
    nothing is.
    """

    def __init__(self, items: dict[int, Item | None]) -> None:
        super().__init__("a condition did not hold")
        self.items = items


class _Temporary(Exception):
    """An error that a retry may not meet again. Its text says what it was."""


def typed(value: str | int | bool | bytes) -> dict[str, Any]:
    """A value in DynamoDB's JSON."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case _:
            return {"S": value}


def expressions(values: dict[str, Any], **expressions: str) -> dict[str, Any]:
    """The expressions with the names (`#name`) and values (`:name`) that they use.

    Every name is written with `#`, since it may be one of DynamoDB's reserved words.
    """
    names = {name for expression in expressions.values() for name in _NAME.findall(expression)}
    return {
        **expressions,
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {f":{name}": typed(value) for name, value in values.items()},
    }


def unparsed(response: Response) -> Response:
    """The `parse` of `Transport.call` that returns the response as it is."""
    return response


def _counted(units: Units, operation: str, parse: Callable[[Response], T]) -> Callable[[Response], T]:
    """`parse`, which also adds what the response says was used."""

    def parse_and_count(response: Response) -> T:
        units.add(operation, response)
        return parse(response)

    return parse_and_count


def new_client(threads: int) -> DynamoDBClient:
    """A client of botocore for `Transport`, in the region and at the endpoint that botocore finds.

    `threads` is how many connections it keeps open.
    """
    from botocore.config import Config
    from botocore.session import get_session

    config = Config(
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=threads,
        tcp_keepalive=True,
        parameter_validation=False,
    )
    return cast("DynamoDBClient", get_session().create_client("dynamodb", config=config))


class Transport:
    """Requests to one table. Safe for many coroutines; `threads` is how many requests run at once.

    `content` is what errors call the table's content, as in "The log in table 'x'". `no_table` is the reason in the
    error about a missing table, and `error` is the class of all errors about the store.

    `client` is a client of `new_client`; without it, the first request makes one. `close` closes it.
    """

    def __init__(
        self,
        table: str,
        *,
        content: str,
        no_table: str,
        patience_s: float,
        threads: int,
        error: type[LogUnavailable] = LogUnavailable,
        client: DynamoDBClient | None = None,
    ) -> None:
        self._table = table
        self._content = content
        self._no_table = no_table
        self._patience_s = patience_s
        self._threads = threads
        self._error = error
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dynamodb")
        self._lock = threading.Lock()
        self._botocore_client = client
        self._closed = False

    async def call(self, operation: str, request: dict[str, Any], parse: Callable[[Response], T]) -> T:
        """Make a request and return what `parse` makes of the response; `parse` runs in the request's thread.

        After throttling, errors inside DynamoDB and broken connections the request is made again until `patience_s` is
        over. So the request must be one that may be carried out twice.

        Raises:
            Refused: the request's condition did not hold.
            LogUnavailable: no try within `patience_s` succeeded, or DynamoDB refused the request. A write may have
                been carried out all the same.
        """
        return await self._call(operation, {"TableName": self._table, **request}, parse)

    async def transact(self, writes: list[tuple[Literal["Put", "Update"], dict[str, Any]]]) -> None:
        """Carry out all the writes, each to another item, or none of them. They are retried as in `call`.

        A try whose predecessor was carried out, and its response lost, changes nothing: DynamoDB knows it by its token.

        Raises:
            Cancelled: a write's condition did not hold.
            LogUnavailable: as in `call`.
        """
        items = [{operation: {"TableName": self._table, **request}} for operation, request in writes]
        request = {"TransactItems": items, "ClientRequestToken": str(uuid.uuid4())}
        await self._call("transact_write_items", request, unparsed)

    async def _call(self, operation: str, request: dict[str, Any], parse: Callable[[Response], T]) -> T:
        if self._closed:
            raise self._error(f"{self._content} is closed.")
        loop, reason, tries = asyncio.get_running_loop(), "there was no response", 0
        units = counting()
        if units is not None:
            request, parse = {**request, "ReturnConsumedCapacity": "TOTAL"}, _counted(units, operation, parse)
        response: asyncio.Future[T] | None = None
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    try:
                        response = loop.run_in_executor(self._pool, self._request, operation, request, parse)
                        return await response
                    except _Temporary as error:
                        reason = str(error)
                    except Refused as refused:
                        refused.retried = tries > 0
                        raise
                    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**tries)
                    tries += 1
                    await asyncio.sleep(random.uniform(0, longest))  # noqa: S311
        except TimeoutError:
            if response is not None and response.done() and not response.cancelled() and not response.exception():
                return response.result()  # It came in time, and the event loop stood still.
            raise self._error(f"{self._content} did not answer within {self._patience_s:g} s: {reason}.") from None

    async def pages(self, request: dict[str, Any]) -> AsyncGenerator[list[Item]]:
        """The items of a Query, page by page; each page is requested when it is needed. Raises as `call` does."""
        start: Item | None = None
        while True:
            page_request = request if start is None else {**request, "ExclusiveStartKey": start}
            response = await self.call("query", page_request, unparsed)
            yield response["Items"]
            start = response.get("LastEvaluatedKey")
            if start is None:
                return

    async def close(self) -> None:
        """Wait for the requests under way, then close the connections."""
        self._closed = True
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        if self._botocore_client is not None:
            self._botocore_client.close()

    def _request(self, operation: str, request: dict[str, Any], parse: Callable[[Response], T]) -> T:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectionError,
            HTTPClientError,
            IncompleteReadError,
        )
        from botocore.parsers import ResponseParserError

        try:
            return parse(getattr(self.client(), operation)(**request))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ConditionalCheckFailedException":
                raise Refused(cast(Any, error.response).get("Item")) from None
            if code == "TransactionCanceledException":
                code = _why_cancelled(cast(Any, error.response)["CancellationReasons"])
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or code in _RETRIED_CODES | _RETRIED_REASONS:
                raise _Temporary(f"DynamoDB answered {code}") from error
            reason = self._no_table if code == "ResourceNotFoundException" else f"DynamoDB answered {code}"
            raise self._error(f"{self._content} cannot be used: {reason}.") from error
        except (HTTPClientError, ConnectionError, IncompleteReadError, ResponseParserError) as error:
            raise _Temporary(f"the connection to DynamoDB failed ({type(error).__name__})") from error
        except BotoCoreError as error:
            raise self._error(f"{self._content} cannot be used: {type(error).__name__}.") from error

    def client(self) -> DynamoDBClient:
        """The client that all threads share. The first request makes it unless it was passed."""
        with self._lock:
            if self._botocore_client is None:
                self._botocore_client = new_client(self._threads)
            return self._botocore_client


def _why_cancelled(reasons: list[dict[str, Any]]) -> str:
    """The code of the first reason why a transaction was cancelled, but for conditions that did not hold.

    Raises:
        Cancelled: a condition did not hold.
    """
    refused = {n: reason.get("Item") for n, reason in enumerate(reasons) if reason["Code"] == "ConditionalCheckFailed"}
    if refused:
        raise Cancelled(refused) from None
    codes: list[str] = [reason["Code"] for reason in reasons if reason["Code"] != "None"]
    return next((code for code in codes if code not in _RETRIED_REASONS), codes[0])
