"""The checkpointer of one attempt: it is never ahead of the log, and ignores what fenced attempts still save.

LangGraph saves a checkpoint when a step has ended; the step's events may still be on their way to the log then. If the
process died in between, the next attempt would not run the step again, and these events would be lost. So this saver
flushes the log first. The flush of a fenced attempt fails, so its checkpoint is not saved either, unless it was under
way already. `tailrace.agent.recovery.resume_plan` chooses the checkpoints to resume from, and this saver gives them to
LangGraph.

A `StateGraph` begins with two checkpoints: of its input, and of the state that this makes. LangGraph starts no node
before the second one is saved. So both are saved together, and meanwhile the attempt learns whether it may begin.

The tasks of a conversation share a thread. This saver marks each checkpoint with its task, and gives LangGraph the
newest checkpoint of a namespace only if that is this task's own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    copy_checkpoint,
)
from langgraph.constants import START
from langgraph.types import Interrupt

from tailrace.agent.failure import words_of
from tailrace.authoring.emit import names_of
from tailrace.decoding import check_depth

T = TypeVar("T")

_ERROR, _INTERRUPT, _PACKED = "__error__", "__interrupt__", "__tailrace__"
# LangGraph's mark in the writes of a failed node that has an error handler.
HANDLED = "__error_source_node__"
# LangGraph's key in the metadata of a checkpoint that says only how a channel has changed since an earlier one.
_DELTAS = "counters_since_delta_snapshot"
# LangGraph's key in `configurable` that says that the graph around a subgraph resumes.
_RESUMING = "__pregel_resuming"

# Flushes everything that a namespace has emitted; returns the last durable seq. The second argument is the id of the
# LangGraph task whose writes are saved; None: a checkpoint is saved, and the third says whether tasks ran before it.
Flush = Callable[[str, str | None, bool], Awaitable[int]]


class AttemptSaver(BaseCheckpointSaver[Any]):
    """Wraps the saver `inner` for the attempt number `attempt`. `pins` has the checkpoint to resume from by namespace.

    `task` distinguishes the task from all others of its thread. With `begun` the first checkpoint of the graph itself
    is saved together with the second, which counts as saved when `begun` is done too. What `begun` raises, that raises.

    Every method may raise `CheckpointsUnavailable`, `CheckpointUnreadable`, `CheckpointTooLarge`, and what the flush of
    the log raises.
    """

    def __init__(
        self,
        inner: BaseCheckpointSaver[Any],
        attempt: int,
        pins: dict[str, CheckpointTuple],
        flush: Flush,
        *,
        task: str = "",
        begun: asyncio.Future[None] | None = None,
    ) -> None:
        super().__init__(serde=inner.serde)
        self._inner = inner
        self._attempt = attempt
        self._pins = dict(pins)
        self._flush = flush
        self._task = task
        self._begun = begun
        self._first: asyncio.Future[RunnableConfig] | None = None
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        # By namespace: the id of the newest checkpoint, and the step before the first one of the task or of the call.
        self._newest = {namespace: str(pin.checkpoint["id"]) for namespace, pin in pins.items()}
        self._bases = {namespace: base_of(pin) for namespace, pin in pins.items()}

    @property
    def lasting(self) -> dict[str, str]:
        """The ids of the newest checkpoints of the namespaces that outlive the task, the graph's own included."""
        return {
            namespace: newest for namespace, newest in self._newest.items() if is_lasting(namespace) or not namespace
        }

    @property
    def config_specs(self) -> list[Any]:
        return self._inner.config_specs

    def get_next_version(self, current: Any, channel: None) -> Any:
        return self._inner.get_next_version(current, channel)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        configurable = config["configurable"]
        await self.settle()
        if configurable.get("checkpoint_id") is not None:
            return unpacked(await self._inner.aget_tuple(config))
        namespace = configurable.get("checkpoint_ns", "")
        saved = await self._newest_of(namespace, config)
        if saved is not None:  # LangGraph changes the checkpoint that it has read, and may read it again.
            saved = saved._replace(checkpoint=copy_checkpoint(saved.checkpoint))
        if is_lasting(namespace) and (saved is None or not is_within(saved, configurable.get("checkpoint_map", {}))):
            # The graph resumes at the node that calls this subgraph. LangGraph would take the state of an earlier call
            # for that of this one, and not give it its input.
            configurable.pop(_RESUMING, None)
        return saved

    async def _newest_of(self, namespace: str, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint from which the namespace goes on: the pinned one, or the newest that this attempt has saved.

        One that is neither is void: a fenced attempt has saved it since, or a try of a step that runs again.
        """
        if pin := self._pins.get(namespace):
            return pin
        newest = self._newest.get(namespace)
        if newest is None:
            return None
        config = {**config, "configurable": {**config["configurable"], "checkpoint_id": newest}}
        saved = unpacked(await self._inner.aget_tuple(config))
        if saved is None or not is_marked_by(saved, self._task):
            return None
        self._bases[namespace] = base_of(saved)
        return saved

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
        if metadata.get("source") == "input":  # A subgraph with `checkpointer=True` gets one in each call.
            self._bases[namespace] = metadata["step"] - 1
        base = self._bases.get(namespace, NO_STEP)
        seq = await self._flush(namespace, None, _nodes_ran(checkpoint, metadata, base))
        if _DELTAS in metadata:
            await self.settle()  # This checkpoint cannot be read without the one before it.
        marked: Any = {**metadata, "attempt": self._attempt, "task": self._task, "base": base, "seq": seq}
        if not namespace and (others := {each: newest for each, newest in self.lasting.items() if each}):
            marked["lasting"] = others
        saving = self._inner.aput(config, checkpoint, marked, new_versions)
        if self._begun is None or namespace:
            saved = await saving
        elif metadata.get("source") == "input":
            self._first = asyncio.ensure_future(saving)
            saved = {"configurable": {**config["configurable"], "checkpoint_id": checkpoint["id"]}}
        else:
            saved, *_ = await asyncio.gather(saving, self.settle(), asyncio.shield(self._begun))
            self._begun = None
        self._pins.pop(namespace, None)
        self._newest[namespace] = checkpoint["id"]
        return saved

    # A node in a thread may call a graph without `await`.

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._awaited(self.aget_tuple(config))

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self._awaited(self.aput(config, checkpoint, metadata, new_versions))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._awaited(self.aput_writes(config, writes, task_id, task_path))

    def _awaited(self, call: Coroutine[Any, Any, T]) -> T:
        """The result of the call, which is made on the event loop.

        Raises:
            RuntimeError: the event loop itself would have to wait.
        """
        if threading.get_ident() == self._thread:
            call.close()
            raise RuntimeError("An async node has called a graph without await: use ainvoke or astream.")
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()

    async def settle(self) -> None:
        """Wait until the first checkpoint is saved, if it has been begun."""
        if self._first is not None:
            await self._first

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        channels = {channel for channel, _ in writes}
        if _ERROR in channels and HANDLED not in channels:
            return  # A node that failed or was stopped runs again, so nothing of its result may be saved.
        if _ERROR in channels:  # A node whose error handler goes on does not run again.
            writes = [(name, words_of(value) if name == _ERROR else value) for name, value in writes]
        # Checked here, because LangGraph emits no event for a node whose question is nested too deep.
        for question in (each for channel, questions in writes if channel == _INTERRUPT for each in questions or ()):
            if isinstance(question, Interrupt):
                check_depth(question.value, "The value of interrupt()")
        if not task_path.endswith(START):  # LangGraph's own first node, which emits no events.
            await self._flush(config["configurable"].get("checkpoint_ns", ""), task_id, True)
        await self._inner.aput_writes(config, packed(writes), f"{task_id}@{self._attempt}", task_path)


def is_lasting(namespace: str) -> bool:
    """Whether it is the namespace of a subgraph with `checkpointer=True`: no step's id is in its name."""
    return bool(namespace) and ":" not in namespace


def lasting_namespace(namespace: str) -> str:
    """The namespace of a subgraph with `checkpointer=True` that is called where another one would have `namespace`."""
    outer, _, number = namespace.rpartition("|")
    return f"{names_of(outer)}|{number}" if number.isdecimal() else names_of(namespace)


def is_within(saved: CheckpointTuple, parents: Mapping[str, str]) -> bool:
    """Whether a subgraph saved the checkpoint in a call from these checkpoints of the outer graphs, by namespace."""
    return bool(saved.metadata.get("parents", {}) == parents)


# LangGraph's number of the step before the first one of a thread.
NO_STEP = -2


def mark(saved: CheckpointTuple, key: str, default: Any) -> Any:
    """What `AttemptSaver` has put into a checkpoint's metadata under `key`."""
    metadata: Any = saved.metadata
    return metadata.get(key, default)


def is_marked_by(saved: CheckpointTuple, task: str) -> bool:
    """Whether the checkpoint is the task's own. In a thread of an earlier version, all are."""
    return bool(mark(saved, "task", task) == task)


def base_of(saved: CheckpointTuple) -> int:
    """The number of the step before the first one of the task, or of the call of a subgraph with `checkpointer=True`: a
    thread's steps are counted through all its tasks and calls.
    """
    return int(mark(saved, "base", NO_STEP))


def steps_since(step: int, base: int) -> int:
    """How many steps had ended when a checkpoint was saved at `step`; 0 or less if the graph only had its input."""
    return step - base + NO_STEP


def _nodes_ran(checkpoint: Checkpoint, metadata: CheckpointMetadata, base: int) -> bool:
    """Whether nodes of the task ran before the checkpoint was saved. A `StateGraph` first has a step of its own,
    LangGraph's node `__start__`; an entrypoint has none.
    """
    without_start = metadata.get("source") == "loop" and START not in checkpoint["versions_seen"]
    return without_start or steps_since(metadata["step"], base) > 0


def as_base(saved: CheckpointTuple) -> CheckpointTuple:
    """Another task's checkpoint as the one that a task starts from: it covers nothing of the task's own log."""
    metadata: Any = {**saved.metadata, "attempt": 0, "seq": 0, "base": saved.metadata["step"], "lasting": {}}
    return saved._replace(metadata=metadata, pending_writes=[])


def packed(writes: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """A task's writes as a single write.

    A saver may save them one by one, and LangGraph would take a part of them for the whole result. The writes of an
    interrupted task go to LangGraph's interrupt channel, because every saver replaces an earlier write there.
    """
    interrupted = all(channel in WRITES_IDX_MAP for channel, _ in writes)
    return [(_INTERRUPT if interrupted else _PACKED, [list(write) for write in writes])]


def unpacked(saved: CheckpointTuple | None, superseded: Mapping[str, int] | None = None) -> CheckpointTuple | None:
    """The checkpoint with its pending writes as LangGraph made them: for each task those of one attempt.

    This is the newest attempt that has saved any. A fenced attempt may have saved its results late. `superseded` says
    which attempt ran a task again; results of the attempts before that one do not count. A task's questions and the
    answers to them count for every attempt.
    """
    if saved is None or not saved.pending_writes:
        return saved
    newest: dict[str, tuple[int, list[Any]]] = {}
    for task_at_attempt, channel, writes in saved.pending_writes:
        task, _, attempt = task_at_attempt.rpartition("@")
        void = channel == _PACKED and int(attempt) < (superseded or {}).get(task, 0)
        if not void and int(attempt) >= newest.get(task, (0,))[0]:
            newest[task] = int(attempt), writes
    pending = [(task, channel, value) for task, (_, writes) in newest.items() for channel, value in writes]
    return saved._replace(pending_writes=pending)
