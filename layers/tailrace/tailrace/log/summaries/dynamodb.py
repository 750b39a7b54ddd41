"""Summaries in the log's DynamoDB table: one item a task, under the task's id and the seq -1."""

from __future__ import annotations

from tailrace.errors import Fenced, TaskUnknown
from tailrace.log import table
from tailrace.log.base import Clock
from tailrace.log.summaries.base import Summaries, Summary
from tailrace.stores.dynamodb import Cancelled, Transport, expressions, typed


class DynamoDBSummaries(Summaries):
    """Summaries in the table of the log's `transport`.

    To keep one takes a transaction with the head. So a summary that a slow process keeps late neither replaces a newer
    attempt's nor outlives its deleted task.
    """

    def __init__(self, transport: Transport, *, ttl_s: float, clock: Clock) -> None:
        self._transport = transport
        self._ttl_s = ttl_s
        self._clock = clock

    async def keep(self, task_id: str, attempt: int, summary: Summary) -> None:
        seconds = int(self._clock())
        item = {
            **table.key(task_id, table.SUMMARY),
            "last": typed(summary.last),
            "content": typed(summary.content),
            "ttl": typed(int(seconds + self._ttl_s)),
        }
        entering = {
            "Key": table.key(task_id, 0),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **expressions(
                {"summary": summary.last, "seconds": seconds, "attempt": attempt},
                UpdateExpression="SET #summary = :summary",
                ConditionExpression="#ttl > :seconds AND #attempt = :attempt",
            ),
        }
        try:
            await self._transport.transact([("Put", {"Item": item}), ("Update", entering)])
        except Cancelled as cancelled:
            head = cancelled.items.get(1)
            if head is None or table.ttl_of(head) <= seconds:
                raise TaskUnknown(task_id) from None
            raise Fenced(task_id, attempt, 0) from None

    async def get(self, task_id: str) -> Summary | None:
        request = {"Key": table.key(task_id, table.SUMMARY), "ConsistentRead": True}
        item = await self._transport.call("get_item", request, lambda response: response.get("Item"))
        if item is None or table.ttl_of(item) <= self._clock():
            return None
        return Summary(table.plain(item["last"]), bytes(item["content"]["B"]))
