"""A log in one DynamoDB table (`table.py`): production. Many machines, no server to keep.

Where this departs from the obvious, and why:

1. A batch is put on the condition that nothing is there: the put is the compare-and-swap. No transaction
   (twice the price), no counter to contend for, no Scan anywhere.
2. A put that is refused comes back with the item that stands there (`ReturnValuesOnConditionCheckFailure`),
   so whether it is our own, put by a try whose answer was lost, is known without another request.
3. DynamoDB deletes what has expired within days, not at once ("Using time to live (TTL) in DynamoDB").
   Until then it is invisible here: every read leaves it out, every condition counts it as absent.
4. The head is put before event 1, because the head is what settles whose the task is. A task whose creator
   died in between has a head and no events, until `create` is called again and puts the event.
5. A read asks for what begins after the cursor. Only when nothing begins right there does it ask for the
   batch before, which may hold the cursor. A cursor that is known to be a batch's end needs no second
   question, so a tail that waits makes one request a poll.

Cost: an append is one write unit for each KB begun, at any length of the log. A read is one read unit for
each 4 KB. Renewing a lease is one write unit: the index does not hold the lease.

Limits: a task id has 1 to 1,000 bytes, an owner 1 to 2,048. The lease compares clocks of different
machines, which on AWS agree to within milliseconds.
"""

from __future__ import annotations

import asyncio
import heapq
import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec

from tailrace.errors import Fenced, LogUnavailable, LogUnreadable, TaskConflict, TaskUnknown
from tailrace.events import INTERRUPTED, TERMINAL, State
from tailrace.log import table
from tailrace.log.base import (
    Batch,
    EventLog,
    Head,
    Page,
    check_token,
    in_turn,
    refuse_attempt,
    refuse_cancel,
    refuse_claim,
)
from tailrace.log.packing import pack
from tailrace.stores.dynamodb import Answer, Item, Refused, Transport, typed, whole

T = TypeVar("T")

_NAME = re.compile(r"#(\w+)")

_ABSENT = "attribute_not_exists(#task_id) OR #ttl <= :seconds"
_UNFINISHED = f"NOT #state IN ({', '.join(f':{state}' for state in sorted(TERMINAL))})"
_TERMINAL_VALUES: dict[str, str] = {state: state for state in TERMINAL}

# Of how many tasks the end of the latest batch that was read is remembered.
_REMEMBERED = 4096
# An item's events before there is an average to go by, in bytes.
_TYPICAL_BYTES = 8_000
_MAX_ITEMS = 1000

# Batches, each with its ttl.
Found = list[tuple[Batch, int]]
# What makes of a page what is live on it, newest first or last, and the place where the next page starts.
Parse = Callable[[Answer], tuple[list[T], Item | None]]


class DynamoDBLog(EventLog):
    """The log in the table `table_name`, in the region and at the endpoint botocore finds.

    A method gives up with `LogUnavailable` after `patience_s`: less than a lease, so that a runner which
    cannot write stops before another takes over. `threads` is how many requests run at once.
    """

    def __init__(self, table_name: str, *, patience_s: float = 8.0, threads: int = 32, **options: Any) -> None:
        super().__init__(**options)
        self._transport = Transport(table_name, holds="The log", patience_s=patience_s, threads=threads)
        # Task id → the last seq of the latest batch that was read, and that batch's ttl.
        self._ends: dict[str, tuple[int, int]] = {}
        self._typical = _TYPICAL_BYTES

    async def create(self, head: Head, event: bytes) -> Head:
        task_id, now, ttl = head.task_id, self._now(), self._expiry()
        first = table.batch_item(task_id, Batch(1, 0, [event]), pack(task_id, 1, [event]), ttl)
        stored = msgspec.structs.replace(head, created=now, updated=now, ttl=ttl)
        there = await self._put(table.head_item(stored))
        if there is not None:
            stored = table.item_head(there)
            if stored.fingerprint != head.fingerprint:
                raise TaskConflict(task_id)
        if stored.attempt == 0:
            await self._put(first)  # where it is there already, a creator before us or beside us put it
        return stored

    async def append(self, task_id: str, batch: Batch) -> None:
        packed = pack(task_id, batch.seq, batch.events)
        there = await self._put(table.batch_item(task_id, batch, packed, self._expiry()))
        if there is not None and (there["attempt"], there["packed"]) != (typed(batch.attempt), typed(packed)):
            raise Fenced(task_id, batch.attempt, batch.seq)

    async def claim(self, task_id: str, owner: str, lease_s: float) -> Head:
        now = self._now()
        until = now + int(lease_s * 1000)
        try:
            return await self._update(
                task_id,
                "SET #attempt = #attempt + :one, #tries = if_not_exists(#tries, :zero) + :one, "
                "#lease_owner = :owner, #lease_until = :until, #updated = :now, #open = :open",
                f"(attribute_not_exists(#lease_owner) OR #lease_until <= :now) AND {_UNFINISHED}",
                {
                    "zero": 0,
                    "one": 1,
                    "owner": owner,
                    "until": until,
                    "now": now,
                    "open": table.OPEN,
                    **_TERMINAL_VALUES,
                },
            )
        except Refused as refused:
            head = self._live(refused.there)
            # The lease as this very call would have taken it: an earlier try did, and its answer was lost.
            if refused.again and head is not None and (head.lease_owner, head.lease_until) == (owner, until):
                return head
            refuse_claim(head, task_id, now)
            raise _unexplained(task_id) from None

    async def renew(self, task_id: str, attempt: int, lease_s: float) -> Head:
        return await self._update_as(
            task_id, attempt, "SET #lease_until = :until", {"until": self._now() + int(lease_s * 1000)}
        )

    async def update_state(self, task_id: str, attempt: int, state: State, *, release: bool) -> Head:
        change = "SET #state = :state, #updated = :now, #ttl = :ttl, #tries = :zero, #dispatches = :zero, #due = :zero"
        values: dict[str, str | int] = {"state": state, "now": self._now(), "ttl": self._expiry(), "zero": 0}
        if release:
            change += ", #lease_until = :zero REMOVE #lease_owner"
            if state in TERMINAL | INTERRUPTED:
                change += ", #open"
        return await self._update_as(task_id, attempt, change, values)

    async def excuse(self, task_id: str, attempt: int) -> Head:
        return await self._update_as(task_id, attempt, "SET #tries = #tries - :one", {"one": 1})

    async def put_off(self, task_id: str, attempt: int, due: int) -> Head:
        change = "SET #dispatches = if_not_exists(#dispatches, :zero) + :one, #due = :due"
        return await self._update_as(task_id, attempt, change, {"zero": 0, "one": 1, "due": due})

    async def request_cancel(self, task_id: str) -> Head:
        try:
            return await self._update(
                task_id,
                "SET #cancel_requested = :yes, #open = :open",
                _UNFINISHED,
                {"yes": True, "open": table.OPEN, **_TERMINAL_VALUES},
            )
        except Refused as refused:
            refuse_cancel(self._live(refused.there), task_id)
            raise _unexplained(task_id) from None

    async def head(self, task_id: str) -> Head:
        if not table.possible(task_id):
            raise TaskUnknown(task_id)
        head = await self._head_or_none(task_id)
        if head is None:
            raise TaskUnknown(task_id)
        return head

    async def read(self, task_id: str, after: int = 0, limit: int = 1_000_000) -> list[Batch]:
        if not table.possible(task_id):
            return []
        after, seconds = max(after, 0), int(self._clock())
        found = await self._beginning_at(task_id, after + 1, limit, seconds)
        begins = found[0][0].seq if found else None
        if after > 0 and begins != after + 1 and (begins is not None or not self._ends_at(task_id, after, seconds)):
            try:
                before = await self._before(task_id, after, seconds)
            except LogUnreadable as error:
                if error.last > after:
                    raise
                before = None
            if before is not None:
                batch, ttl = before
                if batch.last > after:
                    found = [(batch.after(after), ttl), *(found if begins == batch.last + 1 else ())]
                elif not found:
                    self._remember(task_id, batch.last, ttl)
        if found:
            self._remember(task_id, found[-1][0].last, found[-1][1])
        return [batch for batch, _ in found]

    async def last(self, task_id: str) -> int:
        if not table.possible(task_id):
            return 0
        request = _query(task_id, "#seq >= :one", {"one": 1}, ProjectionExpression="#seq, #count, #ttl")
        end = await self._newest(request, partial(_ends, seconds=int(self._clock())))
        if end is None:
            return 0
        self._remember(task_id, *end)
        return end[0]

    async def orphaned(self, *, idle_s: float, limit: int = 100) -> list[Head]:
        """As in `EventLog`: the index tells which tasks are unfinished, each one's head whether it is orphaned.

        That is one read unit for each task that is unfinished, since any of them may be the one whose turn it is.
        With the lease in the index each renewal would cost two writes more.
        """
        which = _expressions({"open": table.OPEN}, KeyConditionExpression="#open = :open")
        request = {"IndexName": table.BY_OPEN, **which}
        now = self._now()
        found: list[Head] = []
        async for items in self._transport.pages(request):
            unfinished = await asyncio.gather(*(self._head_or_none(item["task_id"]["S"]) for item in items))
            orphaned = (head for head in unfinished if head and head.orphaned(now) and head.due <= now)
            found += (head for head in orphaned if head.updated <= now - idle_s * 1000)
            found = heapq.nsmallest(limit, found, key=in_turn)
        return found

    async def list(self, owner: str, *, limit: int = 50, token: str = "") -> Page:
        """As in `EventLog`, but eventually consistent, and the heads do not tell of leases.

        A task shows up some milliseconds after its creation, as does a change of its state.
        """
        condition, values = "#owner = :owner", {"owner": owner}
        if check_token(token):
            condition, values = f"{condition} AND #place < :place", {"owner": owner, "place": token}
        request = {
            "IndexName": table.BY_OWNER,
            "ScanIndexForward": False,
            "Limit": limit + 1,
            **_expressions(values, KeyConditionExpression=condition),
        }
        heads: list[Head] = []
        async for items in self._transport.pages(request):
            heads += [head for item in items if (head := self._live(item)) is not None]
            if len(heads) > limit:
                break
        return Page(heads[:limit], heads[limit - 1].place if len(heads) > limit else "")

    async def close(self) -> None:
        await self._transport.close()

    # Writing

    async def _put(self, item: Item) -> Item | None:
        """Put the item where nothing is, or return what is there."""
        request = {
            "Item": item,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **_expressions({"seconds": int(self._clock())}, ConditionExpression=_ABSENT),
        }
        try:
            await self._transport.call("put_item", request, whole)
        except Refused as refused:
            if refused.there is None:
                raise _unexplained(item["task_id"]["S"]) from None
            return refused.there
        return None

    async def _update(self, task_id: str, change: str, condition: str, values: dict[str, Any]) -> Head:
        """Change the head if it is there and the condition holds; else raise `Refused`."""
        if not table.possible(task_id):
            raise TaskUnknown(task_id)
        request = {
            "Key": table.key(task_id, 0),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **_expressions(
                {"seconds": int(self._clock()), **values},
                UpdateExpression=change,
                ConditionExpression=f"#ttl > :seconds AND {condition}",
            ),
        }
        return await self._transport.call("update_item", request, lambda answer: table.item_head(answer["Attributes"]))

    async def _update_as(self, task_id: str, attempt: int, change: str, values: dict[str, Any]) -> Head:
        try:
            return await self._update(task_id, change, "#attempt = :attempt", {"attempt": attempt, **values})
        except Refused as refused:
            refuse_attempt(self._live(refused.there), task_id, attempt)
            raise _unexplained(task_id) from None

    async def _head_or_none(self, task_id: str) -> Head | None:
        request = {"Key": table.key(task_id, 0), "ConsistentRead": True}
        return self._live(await self._transport.call("get_item", request, lambda answer: answer.get("Item")))

    def _live(self, item: Item | None) -> Head | None:
        return table.item_head(item) if item is not None and table.ttl_of(item) > self._clock() else None

    # Reading

    async def _beginning_at(self, task_id: str, seq: int, limit: int, seconds: int) -> Found:
        """The batches that begin at `seq` or later, up to `limit` bytes or the first hole between two."""
        request = _query(task_id, "#seq >= :seq", {"seq": seq})
        parse = partial(_batches, seconds=seconds)
        found: Found = []
        size = 0
        while size < limit:
            # What would be read but not returned would be paid for all the same.
            request["Limit"] = min(_MAX_ITEMS, (limit - size) // self._typical + 1)
            batches, start = await self._transport.call("query", request, partial(parse, limit=limit - size))
            for batch, ttl in batches:
                if found and batch.seq != found[-1][0].last + 1:
                    return found
                found.append((batch, ttl))
                size += sum(map(len, batch.events))
            if start is None:
                break
            request["ExclusiveStartKey"] = start
        if found:
            self._typical = max(1, (self._typical + size // len(found)) // 2)
        return found

    async def _before(self, task_id: str, seq: int, seconds: int) -> tuple[Batch, int] | None:
        """The last batch that begins at `seq` or before, and its ttl."""
        request = _query(task_id, "#seq BETWEEN :one AND :seq", {"one": 1, "seq": seq})
        return await self._newest(request, partial(_batches, seconds=seconds, limit=1))

    async def _newest(self, request: dict[str, Any], parse: Parse[T]) -> T | None:
        """The live one with the highest seq of what the request asks for."""
        request |= {"ScanIndexForward": False, "Limit": 1}
        while True:
            found, start = await self._transport.call("query", request, parse)
            if found or start is None:
                return found[0] if found else None
            # That one has expired: it is left of an earlier task of the same id. So may the next ones be.
            request["ExclusiveStartKey"] = start
            request.pop("Limit", None)

    def _ends_at(self, task_id: str, seq: int, seconds: int) -> bool:
        """Whether a batch is known to end at `seq`. True as long as that batch is there."""
        end, ttl = self._ends.get(task_id, (0, 0))
        return end == seq and ttl > seconds

    def _remember(self, task_id: str, seq: int, ttl: int) -> None:
        # The latest stays: somebody may replay the task from its start while others wait at its end.
        self._ends[task_id] = max(self._ends.pop(task_id, (0, 0)), (seq, ttl))
        if len(self._ends) > _REMEMBERED:
            del self._ends[next(iter(self._ends))]


def _query(task_id: str, condition: str, values: dict[str, Any], **expressions: str) -> dict[str, Any]:
    expressions["KeyConditionExpression"] = f"#task_id = :task_id AND {condition}"
    return {"ConsistentRead": True, **_expressions({"task_id": task_id, **values}, **expressions)}


def _batches(answer: Answer, *, seconds: int, limit: int) -> tuple[Found, Item | None]:
    """The live batches of a page up to `limit` bytes, and where the next page starts."""
    found: Found = []
    size = 0
    for item in answer["Items"]:
        ttl = table.ttl_of(item)
        if ttl > seconds:
            try:
                batch = table.item_batch(item)
            except LogUnreadable:
                if not found:
                    raise
                return found, None  # The next read begins with the damaged batch.
            found.append((batch, ttl))
            size += sum(map(len, batch.events))
            if size >= limit:
                break
    return found, answer.get("LastEvaluatedKey")


def _ends(answer: Answer, *, seconds: int) -> tuple[list[tuple[int, int]], Item | None]:
    """The last seq and the ttl of each live batch of a page, and where the next page starts."""
    ends = [(table.last_of(item), table.ttl_of(item)) for item in answer["Items"]]
    return [end for end in ends if end[1] > seconds], answer.get("LastEvaluatedKey")


def _expressions(values: dict[str, Any], **expressions: str) -> dict[str, Any]:
    """The expressions, with the names (`#name`) and values (`:name`) they use.

    Every name is written with `#`, since any may be one of DynamoDB's reserved words.
    """
    names = {name for expression in expressions.values() for name in _NAME.findall(expression)}
    return {
        **expressions,
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {f":{name}": typed(value) for name, value in values.items()},
    }


def _unexplained(task_id: str) -> LogUnavailable:
    """For a store that refuses and does not say why, which DynamoDB since June 2023 does not do."""
    return LogUnavailable(f"The log refused a change of task {task_id!r} and did not say why.")
