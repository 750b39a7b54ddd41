"""A node that calls `sys.exit()` fails its own task, and not the process with every other task in it.

asyncio lets SystemExit and KeyboardInterrupt out of any task into the event loop, which stops. The process would end
and let go of its leases, and the next one would run the same node again, without end. LangGraph runs nodes in tasks of
its own, so this can only be caught where tasks are made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from tailrace.authoring import run_context

T = TypeVar("T")


class ProcessExit(Exception):
    """Code of a run raised SystemExit or KeyboardInterrupt, which is the cause of this."""


class Contained(Coroutine[Any, Any, T]):
    """A coroutine that raises `ProcessExit` where `inner` would stop the event loop.

    No `async def` around it: a task that is cancelled before it starts would then never have awaited `inner`.
    """

    def __init__(self, inner: Coroutine[Any, Any, T]) -> None:
        self._inner = inner

    def send(self, value: Any) -> Any:
        return _step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return _step(self._inner.throw, *error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        """`cr_running` and the like, by which anyio sees whether a task has started."""
        return getattr(self._inner, name)


def contain_exits(loop: asyncio.AbstractEventLoop) -> None:
    """From now on, no task that is made inside a run can stop the loop. All others are made as before."""
    factory: Any = loop.get_task_factory()
    if not isinstance(factory, _Containing):
        loop.set_task_factory(_Containing(factory))


class _Containing:
    """A task factory around the one that the loop had, or around none."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner or (lambda loop, coroutine, **options: asyncio.Task(coroutine, loop=loop, **options))

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if run_context.current.get() is not None:
            coroutine = Contained(coroutine)
        return self._inner(loop, coroutine, **options)


def _step(step: Callable[..., Any], *given: Any) -> Any:
    try:
        return step(*given)
    except (SystemExit, KeyboardInterrupt) as error:
        raise ProcessExit(f"{type(error).__name__}: {error}") from error
