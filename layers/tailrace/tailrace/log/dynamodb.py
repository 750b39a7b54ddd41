"""A log in one DynamoDB table (`table.py`), for AWS: many machines share it.

Design decisions:

1. A batch is put on the condition that its key is free: this put is the compare-and-swap. There is no counter that
   writers contend for, and no Scan.
2. A refused put returns the item that is stored (`ReturnValuesOnConditionCheckFailure`). If an earlier try of ours has
   put it and its answer was lost, we see that without another request.
3. DynamoDB deletes expired items within days, not at once ("Using time to live (TTL) in DynamoDB"). Until then they
   are invisible here: reads leave them out, and conditions count them as absent.
4. A task begins with a transaction, the only one: its head, event 1, and its entry into the record of its conversation.
   This takes two write units for an item where a put takes one, but one request for three, and nothing is half-done.
5. A read queries for batches that begin after the cursor. Only if none begins right after it, a second query gets the
   batch before, which may contain the cursor. A cursor that is known to be the end of a batch needs no second query,
   so a waiting tail makes one request for each poll.

Cost: an append takes one write unit for each KB, however long the log is. A read takes one read unit for each 4 KB.
Renewing a lease takes one write unit, since no index holds the lease.

Limits: a task id has 1 to 1,000 bytes, an owner 1 to 2,048. Leases compare the clocks of different machines, which on
AWS agree to within milliseconds.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from tailrace.errors import ConversationChanged, Fenced, LogUnreadable, TaskConflict, TaskUnknown
from tailrace.events import INTERRUPTED, TERMINAL, State
from tailrace.log import table
from tailrace.log.base import Batch, EventLog, Page, dispatch_order
from tailrace.log.conversations import Entry
from tailrace.log.conversations.dynamodb import DynamoDBConversations
from tailrace.log.head import Head, NewOf, refuse_attempt, refuse_cancel, refuse_claim
from tailrace.log.known_ends import KnownEnds
from tailrace.log.packing import pack
from tailrace.log.summaries.dynamodb import DynamoDBSummaries
from tailrace.stores.dynamodb import Cancelled, Item, Refused, Response, expressions, typed, unparsed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")

_ABSENT = "attribute_not_exists(#task_id) OR #ttl <= :seconds"
_UNFINISHED = f"NOT #state IN ({', '.join(f':{state}' for state in sorted(TERMINAL))})"
_TERMINAL_VALUES: dict[str, str] = {state: state for state in TERMINAL}
# What an attempt that has started changes in its task's head.
_STARTED = "SET #state = :state, #updated = :now, #ttl = :ttl, #tries = :zero, #dispatches = :zero, #due = :zero"

# Estimated bytes of events in an item, until there is a measured average.
_TYPICAL_BYTES = 8_000
_MAX_ITEMS = 1000
# About how many bytes of events a look of a tail reads.
_TAIL_BYTES = 1_000_000

# Parses the response to a query into its live items, in their order, and the key where the next page starts.
Parse = Callable[[Response], tuple[list[T], Item | None]]


class DynamoDBLog(EventLog):
    """The log in the table `table_name`, in the region and at the endpoint that botocore finds.

    A method raises `LogUnavailable` after `patience_s` seconds. That is less than a lease, so that a runner which
    cannot write stops before another one takes over. `threads` is how many requests run at once.

    `client` is a client of `stores.dynamodb.new_client`; without it, the first request makes one. `close` closes it.
    """

    conversations: DynamoDBConversations
    summaries: DynamoDBSummaries

    def __init__(
        self,
        table_name: str,
        *,
        patience_s: float = 8.0,
        threads: int = 32,
        client: DynamoDBClient | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._transport = table.transport_to(
            table_name, "The log", patience_s=patience_s, threads=threads, client=client
        )
        self.conversations = DynamoDBConversations(self._transport, ttl_s=self._ttl_s, clock=self._clock)
        self.summaries = DynamoDBSummaries(self._transport, ttl_s=self._ttl_s, clock=self._clock)
        self._ends = KnownEnds()
        self._typical = _TYPICAL_BYTES

    async def create_or_find(self, head: Head, event: bytes, entry: Entry | None = None) -> tuple[Head, bool]:
        task_id, now, ttl = head.task_id, self.now(), self._expiry()
        first = table.batch_item(task_id, Batch(1, 0, [event]), pack(task_id, 1, [event]), ttl)
        stored = msgspec.structs.replace(head, created=now, updated=now, ttl=ttl)
        entering = [] if entry is None else [self.conversations.entering(entry)]
        try:
            await self._transport.transact(
                [("Put", self._putting(table.head_item(stored))), ("Put", {"Item": first}), *entering]
            )
        except Cancelled as cancelled:
            if entry is not None and 0 not in cancelled.items:
                raise ConversationChanged(entry.id) from None
            existing = self._live(cancelled.items[0])
            if existing is None:
                raise table.unexplained(task_id) from None
            if existing.fingerprint != head.fingerprint:
                raise TaskConflict(task_id) from None
            return existing, False
        return stored, True

    async def append(self, task_id: str, batch: Batch) -> None:
        packed = pack(task_id, batch.seq, batch.events)
        existing = await self._put(table.batch_item(task_id, batch, packed, self._expiry()))
        if existing is not None and (existing["attempt"], existing["packed"]) != (typed(batch.attempt), typed(packed)):
            raise Fenced(task_id, batch.attempt, batch.seq)

    async def claim(self, task_id: str, owner: str, lease_s: float, only: NewOf | None = None) -> Head:
        now = self.now()
        until = now + int(lease_s * 1000)
        values = {"zero": 0, "one": 1, "process": owner, "until": until, "now": now, "open": table.OPEN}
        new = ""
        if only is not None:
            new, values = " AND #attempt = :zero AND #owner = :owner AND #agent = :agent", {**values, **only._asdict()}
        try:
            return await self._update(
                task_id,
                "SET #attempt = #attempt + :one, #tries = if_not_exists(#tries, :zero) + :one, "
                "#lease_owner = :process, #lease_until = :until, #updated = :now, #open = :open",
                f"(attribute_not_exists(#lease_owner) OR #lease_until <= :now) AND {_UNFINISHED}{new}",
                {**values, **_TERMINAL_VALUES},
            )
        except Refused as refused:
            head = self._live(refused.item)
            # The stored lease is ours: an earlier try of this call has written it, and its answer was lost.
            if refused.retried and head is not None and (head.lease_owner, head.lease_until) == (owner, until):
                return head
            refuse_claim(head, task_id, now, only)
            raise table.unexplained(task_id) from None

    async def renew(self, task_id: str, attempt: int, lease_s: float) -> Head:
        return await self._update_as(
            task_id, attempt, "SET #lease_until = :until", {"until": self.now() + int(lease_s * 1000)}
        )

    async def update_state(self, task_id: str, attempt: int, state: State, *, release: bool) -> Head:
        change = f"{_STARTED}, #asleep_until = :zero"
        values: dict[str, str | int] = {"state": state, "now": self.now(), "ttl": self._expiry(), "zero": 0}
        if release:
            change += ", #lease_until = :zero REMOVE #lease_owner"
            if state in TERMINAL | INTERRUPTED:
                change += ", #open"
        return await self._update_as(task_id, attempt, change, values)

    async def take_back_try(self, task_id: str) -> None:
        # Not as a difference: a request that is made again would take back another claim's try.
        if (head := await self._head_or_none(task_id)) is not None and head.tries:
            counted = {"attempt": head.attempt, "tries": head.tries, "fewer": head.tries - 1}
            with suppress(Refused):
                await self._update(task_id, "SET #tries = :fewer", "#attempt = :attempt AND #tries = :tries", counted)

    async def put_off(self, head: Head, due: int) -> Head:
        change, values = "SET #dispatches = :dispatches, #due = :due", {"dispatches": head.dispatches + 1, "due": due}
        return await self._update_as(head.task_id, head.attempt, change, values)

    async def sleep(self, task_id: str, attempt: int, until: int, awaits: str) -> Head:
        state: State = "TASK_STATE_WORKING"
        change = f"{_STARTED}, #lease_until = :zero, #asleep_until = :until, #awaits = :awaits REMOVE #lease_owner"
        values = {"state": state, "now": self.now(), "ttl": self._expiry(), "zero": 0, "until": until, "awaits": awaits}
        not_woken = "#attempt = :attempt AND (attribute_not_exists(#woken) OR #woken <> :attempt)"
        try:
            return await self._update(task_id, change, not_woken, {"attempt": attempt, **values})
        except Refused as refused:
            refuse_attempt(self._live(refused.item), task_id, attempt)
        return await self.update_state(task_id, attempt, state, release=True)

    async def wake(self, task_id: str, attempt: int) -> Head:
        return await self._update_as(task_id, attempt, "SET #asleep_until = :zero, #woken = :attempt", {"zero": 0})

    async def request_wake(self, task_id: str, sleeper: str) -> Head:
        try:
            change = ("SET #wakes = :sleeper", "attribute_exists(#task_id)", {"sleeper": sleeper})
            return await self._update(task_id, *change)
        except Refused:
            raise TaskUnknown(task_id) from None

    async def request_cancel(self, task_id: str) -> Head:
        try:
            return await self._update(
                task_id,
                "SET #cancel_requested = :yes, #open = :open",
                _UNFINISHED,
                {"yes": True, "open": table.OPEN, **_TERMINAL_VALUES},
            )
        except Refused as refused:
            refuse_cancel(self._live(refused.item), task_id)
            raise table.unexplained(task_id) from None

    async def delete_head(self, task_id: str) -> None:
        await self._transport.call("delete_item", {"Key": table.key(task_id, 0)}, unparsed)

    async def delete_events(self, task_id: str) -> None:
        self._ends.forget(task_id)
        request = table.task_query(
            task_id, "#seq >= :low", {"low": table.SUMMARY}, ProjectionExpression="#task_id, #seq"
        )
        async for items in self._transport.pages(request):
            keys = [item for item in items if item != table.key(task_id, 0)]
            await asyncio.gather(*(self._transport.call("delete_item", {"Key": each}, unparsed) for each in keys))

    async def head(self, task_id: str) -> Head:
        head = await self._head_or_none(task_id) if table.is_key(task_id) else None
        if head is None:
            raise TaskUnknown(task_id)
        return head

    async def read(self, task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
        if not table.is_key(task_id):
            return []
        cursor, seconds = max(cursor, 0), int(self._clock())
        batches = await self._beginning_at(task_id, cursor + 1, limit, seconds)
        first = batches[0][0].seq if batches else None
        if cursor > 0 and first != cursor + 1 and (first is not None or not self._ends.has(task_id, cursor, seconds)):
            try:
                before = await self._before(task_id, cursor, seconds)
            except LogUnreadable as error:
                if error.last > cursor:
                    raise
                before = None
            if before is not None:
                batch, ttl = before
                if batch.last > cursor:
                    batches = [(batch.after(cursor), ttl), *(batches if first == batch.last + 1 else ())]
                elif not batches:
                    self._ends.remember(task_id, batch.last, ttl)
        if batches:
            self._ends.remember(task_id, batches[-1][0].last, batches[-1][1])
        return [batch for batch, _ in batches]

    async def tail(self, task_id: str, cursor: int) -> list[Batch]:
        """As in `EventLog`, with an eventually consistent query, which costs half.

        It may come from a copy that lacks the newest items, or some of them. A hole, and a cursor that may be inside a
        batch, are reasons to read consistently.
        """
        seconds = int(self._clock())
        if not self._ends.has(task_id, cursor, seconds):
            return await self.read(task_id, cursor)
        batches = await self._beginning_at(task_id, cursor + 1, _TAIL_BYTES, seconds, consistent=False)
        if not batches:
            return []
        if batches[0][0].seq != cursor + 1:
            return await self.read(task_id, cursor)
        self._ends.remember(task_id, batches[-1][0].last, batches[-1][1])
        return [batch for batch, _ in batches]

    async def last(self, task_id: str) -> int:
        if not table.is_key(task_id):
            return 0
        request = table.task_query(task_id, "#seq >= :one", {"one": 1}, ProjectionExpression="#seq, #count, #ttl")
        end = await self._newest(request, partial(table.ends_in, seconds=int(self._clock())))
        if end is None:
            return 0
        self._ends.remember(task_id, *end)
        return end[0]

    async def newest(self, task_id: str) -> bytes | None:
        found = await self._before(task_id, table.PAST_ALL, int(self._clock())) if table.is_key(task_id) else None
        return found[0].events[-1] if found is not None else None

    async def unattended(self, *, idle_s: float, limit: int = 100) -> list[Head]:
        """As in `EventLog`. The index names the unfinished tasks, and each task's head says whether somebody runs it.

        This takes one read unit for each unfinished task, since any of them may be the next in order. With the lease in
        the index, each renewal would take two write units more.
        """
        request = expressions({"open": table.OPEN}, IndexName=table.BY_OPEN, KeyConditionExpression="#open = :open")
        now = self.now()
        due: list[Head] = []
        async for items in self._transport.pages(request):
            unfinished = await asyncio.gather(*(self._head_or_none(item["task_id"]["S"]) for item in items))
            unattended = (head for head in unfinished if head and head.unattended(now) and head.due <= now)
            due += (head for head in unattended if head.updated <= now - idle_s * 1000)
            due = heapq.nsmallest(limit, due, key=dispatch_order)
        return due

    async def list(self, owner: str, *, limit: int = 50, token: str = "") -> Page:
        """As in `EventLog`, but eventually consistent, and without the leases.

        A new task, or a new state, shows up after some milliseconds.
        """
        heads = await table.newest_of(self._transport, owner, limit, token, self._live)
        return Page(heads[:limit], heads[limit - 1].place if len(heads) > limit else "")

    async def close(self) -> None:
        await self._transport.close()

    # Writing

    async def _put(self, item: Item) -> Item | None:
        """Put the item if its key is free; else return the item that is stored."""
        try:
            await self._transport.call("put_item", self._putting(item), unparsed)
        except Refused as refused:
            if refused.item is None:
                raise table.unexplained(item["task_id"]["S"]) from None
            return refused.item
        return None

    def _putting(self, item: Item) -> dict[str, Any]:
        """The parameters of a put of the item, on the condition that its key is free."""
        return {
            "Item": item,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **expressions({"seconds": int(self._clock())}, ConditionExpression=_ABSENT),
        }

    async def _update(self, task_id: str, change: str, condition: str, values: dict[str, Any]) -> Head:
        """Change the head if it exists and the condition holds.

        Raises:
            Refused: it does not exist, or the condition does not hold.
        """
        if not table.is_key(task_id):
            raise TaskUnknown(task_id)
        request = {
            "Key": table.key(task_id, 0),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **expressions(
                {"seconds": int(self._clock()), **values},
                UpdateExpression=change,
                ConditionExpression=f"#ttl > :seconds AND {condition}",
            ),
        }
        return await self._transport.call(
            "update_item", request, lambda response: table.item_head(response["Attributes"])
        )

    async def _update_as(self, task_id: str, attempt: int, change: str, values: dict[str, Any]) -> Head:
        try:
            return await self._update(task_id, change, "#attempt = :attempt", {"attempt": attempt, **values})
        except Refused as refused:
            refuse_attempt(self._live(refused.item), task_id, attempt)
            raise table.unexplained(task_id) from None

    async def _head_or_none(self, task_id: str) -> Head | None:
        request = {"Key": table.key(task_id, 0), "ConsistentRead": True}
        return self._live(await self._transport.call("get_item", request, lambda response: response.get("Item")))

    def _live(self, item: Item | None) -> Head | None:
        return table.item_head(item) if item is not None and table.ttl_of(item) > self._clock() else None

    # Reading

    async def _beginning_at(
        self, task_id: str, seq: int, limit: int, seconds: int, *, consistent: bool = True
    ) -> table.Batches:
        """The batches that begin at `seq` or later, up to `limit` bytes, or up to a hole between two batches."""
        request = {**table.task_query(task_id, "#seq >= :seq", {"seq": seq}), "ConsistentRead": consistent}
        parse = partial(table.batches_in, seconds=seconds)
        result: table.Batches = []
        size = 0
        while size < limit:
            # AWS bills what is read, also what is not returned.
            request["Limit"] = min(_MAX_ITEMS, (limit - size) // self._typical + 1)
            batches, start = await self._transport.call("query", request, partial(parse, limit=limit - size))
            for batch, ttl in batches:
                if result and batch.seq != result[-1][0].last + 1:
                    return result
                result.append((batch, ttl))
                size += sum(map(len, batch.events))
            if start is None:
                break
            request["ExclusiveStartKey"] = start
        if result:
            self._typical = max(1, (self._typical + size // len(result)) // 2)
        return result

    async def _before(self, task_id: str, seq: int, seconds: int) -> tuple[Batch, int] | None:
        """The last batch that begins at or before `seq`, and its ttl."""
        request = table.task_query(task_id, "#seq BETWEEN :one AND :seq", {"one": 1, "seq": seq})
        return await self._newest(request, partial(table.batches_in, seconds=seconds, limit=1))

    async def _newest(self, request: dict[str, Any], parse: Parse[T]) -> T | None:
        """The live item with the highest seq among those that the request asks for."""
        request |= {"ScanIndexForward": False, "Limit": 1}
        while True:
            items, start = await self._transport.call("query", request, parse)
            if items or start is None:
                return items[0] if items else None
            # That item has expired: it belongs to an earlier task with the same id. So may the next ones.
            request["ExclusiveStartKey"] = start
            request.pop("Limit", None)
