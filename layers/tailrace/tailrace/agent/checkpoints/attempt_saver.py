"""A checkpointer as one attempt uses it: never ahead of the log, and blind to what fenced attempts still write.

LangGraph saves a checkpoint when a step is done; by then what the step said is on its way to the log. If the
process died in between, the next attempt would not run the step again, and its last words would be lost. So
here the log comes first. A fenced attempt's flush fails, so that its checkpoint is not put either, but for one
that was on its way already: `tailrace.agent.recovery.resume_plan` chooses what to go on from, and this gives LangGraph
that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.constants import START
from langgraph.types import Interrupt

from tailrace.decoding import check_depth

_ERROR, _INTERRUPT, _PACKED = "__error__", "__interrupt__", "__tailrace__"

# Wait until the log has all that led to what is to be saved of a namespace, and give the log's last seq. What is
# saved is a task's writes if a task is given, else a checkpoint, before which tasks `ran` or did not.
Logged = Callable[[str, str | None, bool], Awaitable[int]]


class AttemptSaver(BaseCheckpointSaver[Any]):
    """`inner`, for attempt number `attempt`, which goes on from the checkpoints `pins` (by namespace)."""

    def __init__(
        self, inner: BaseCheckpointSaver[Any], attempt: int, pins: dict[str, CheckpointTuple], logged: Logged
    ) -> None:
        super().__init__(serde=inner.serde)
        self._inner = inner
        self._attempt = attempt
        self._pins = dict(pins)
        self._logged = logged

    @property
    def config_specs(self) -> list[Any]:
        return self._inner.config_specs

    def get_next_version(self, current: Any, channel: None) -> Any:
        return self._inner.get_next_version(current, channel)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        configurable = config["configurable"]
        pin = self._pins.get(configurable.get("checkpoint_ns", ""))
        if pin is not None and configurable.get("checkpoint_id") is None:
            return pin
        return unpacked(await self._inner.aget_tuple(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        async for each in self._inner.alist(config, filter=filter, before=before, limit=limit):
            yield unpacked(each) or each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        namespace = config["configurable"].get("checkpoint_ns", "")
        seq = await self._logged(namespace, None, metadata["step"] > 0)
        marked: Any = {**metadata, "attempt": self._attempt, "seq": seq}
        saved = await self._inner.aput(config, checkpoint, marked, new_versions)
        self._pins.pop(namespace, None)
        return saved

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        if any(channel == _ERROR for channel, _ in writes):
            return  # A node that failed or was stopped has no result, whatever it had got ready: it runs again.
        # LangGraph does not tell of the end of a node whose question is nested too deep.
        for question in (each for channel, asked in writes if channel == _INTERRUPT for each in asked or ()):
            if isinstance(question, Interrupt):
                check_depth(question.value, "The value of interrupt()")
        if not task_path.endswith(START):  # LangGraph's own node, which only passes the input on, and is not told of
            await self._logged(config["configurable"].get("checkpoint_ns", ""), task_id, True)
        await self._inner.aput_writes(config, packed(writes), f"{task_id}@{self._attempt}", task_path)


def packed(writes: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """A task's writes as one: a saver may put them one by one, and half of them would be taken for all.

    Those of an interrupted task replace each other in every saver, so they keep a channel of that kind.
    """
    interrupted = all(channel in WRITES_IDX_MAP for channel, _ in writes)
    return [(_INTERRUPT if interrupted else _PACKED, [list(write) for write in writes])]


def unpacked(found: CheckpointTuple | None, superseded: Mapping[str, int] | None = None) -> CheckpointTuple | None:
    """The checkpoint as LangGraph put it: of each task the writes of one attempt, one by one.

    That is the newest attempt's that has saved any. A fenced attempt may have been slow to save what it had
    done: where `superseded` says of a task which attempt began it again, results of those before it do not count.
    What a task has asked, and which answers it has had, does.
    """
    if found is None or not found.pending_writes:
        return found
    newest: dict[str, tuple[int, list[Any]]] = {}
    for saved, channel, writes in found.pending_writes:
        task, _, attempt = saved.rpartition("@")
        void = channel == _PACKED and int(attempt) < (superseded or {}).get(task, 0)
        if not void and int(attempt) >= newest.get(task, (0,))[0]:
            newest[task] = int(attempt), writes
    each = [(task, channel, value) for task, (_, writes) in newest.items() for channel, value in writes]
    return found._replace(pending_writes=each)
