"""An event loop whose clock jumps to the next timer when nothing else is to be done: minutes pass at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with virtual time. What runs in it must not wait for threads, processes or sockets."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual_now = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        really_select: Callable[[float], Any] = selector.select

        def select(timeout: float | None) -> Any:
            if timeout is None:
                raise RuntimeError("Nothing is left to wait for in virtual time.")
            self._virtual_now += timeout
            return really_select(0)

        selector.select = select

    def pass_(self, seconds: float) -> None:
        self._virtual_now += seconds

    def time(self) -> float:
        return self._virtual_now


def let_pass(seconds: float) -> None:
    """Let time pass in this turn of the virtual loop, as code does that blocks it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.pass_(seconds)


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end, in no time; `asyncio.sleep` and timeouts take the time that they would."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
