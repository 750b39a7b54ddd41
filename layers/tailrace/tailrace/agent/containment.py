"""A node that calls `sys.exit()` fails its own task, not the whole process.

asyncio raises SystemExit and KeyboardInterrupt from any task into the event loop, which stops. The process would end
and release its leases, and the next process would run the same node, again and again. LangGraph runs nodes in asyncio
tasks that it creates itself, so the exceptions can only be caught where tasks are created.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, TypeVar

from langchain_core.runnables.config import var_child_runnable_config

from tailrace.authoring import run_context

T = TypeVar("T")

# The context of the run's code that the event loop runs right now.
_running: Context | None = None


class ProcessExit(Exception):
    """A run's code raised SystemExit or KeyboardInterrupt. That exception is the `__cause__`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        self.__cause__ = error


class Contained(Coroutine[Any, Any, T]):
    """A coroutine that raises `ProcessExit` where `inner` raises SystemExit or KeyboardInterrupt.

    It is not an `async def` around `inner`: a task that is cancelled before it starts would never await `inner` then.
    """

    def __init__(self, inner: Coroutine[Any, Any, T], context: Context) -> None:
        self._inner = inner
        self._context = context  # its task's

    def send(self, value: Any) -> Any:
        return _step(self._context, self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return _step(self._context, self._inner.throw, *error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        """`cr_running` and the like; anyio reads them to see whether a task has started."""
        return getattr(self._inner, name)


def contained(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task of a run's code, as `contain_exits` makes them inside a run."""
    context = copy_context()
    return asyncio.create_task(Contained(coroutine, context), context=context)


def contain_exits(loop: asyncio.AbstractEventLoop) -> None:
    """Install a task factory on `loop` whose tasks cannot stop it if they are created inside a run."""
    factory: Any = loop.get_task_factory()
    if not isinstance(factory, _ContainingFactory):
        loop.set_task_factory(_ContainingFactory(factory))


class _ContainingFactory:
    """A task factory that wraps the loop's earlier one, if it had one."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner or (lambda loop, coroutine, **options: asyncio.Task(coroutine, loop=loop, **options))

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if run_context.current.get() is not None:
            context = options.get("context")
            options["context"] = context = copy_context() if context is None else context
            coroutine = Contained(coroutine, context)
        return self._inner(loop, coroutine, **options)


def _step(context: Context, step: Callable[..., Any], *arguments: Any) -> Any:
    global _running
    _running = context
    try:
        return step(*arguments)
    except (SystemExit, KeyboardInterrupt) as error:
        raise ProcessExit(error) from error
    finally:
        _running = None


def running_node() -> str:
    """Where a run's code runs on the event loop right now, like "in node 'n' of task t"; "" if none does.

    It may be called from any thread.
    """
    context = _running
    config = context.get(var_child_runnable_config) if context is not None else None
    if config is None:
        return ""
    node, task = config.get("metadata", {}).get("langgraph_node"), config.get("configurable", {}).get("task_id")
    return f"in node {node!r} of task {task}" if node else f"in task {task}"
