"""Work that is done from time to time: when it is done, how it is hurried, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

from tailrace.stream.recurring import Recurring
from tests.support.virtual_time import run_in_virtual_time

_request: ContextVar[str] = ContextVar("request")


class Work:
    """Work that takes `takes_s` seconds and is due again after `every_s`; `done_at_s` has the times when it began."""

    def __init__(self, every_s: float | None = 10.0, takes_s: float = 0.0) -> None:
        self.clock = asyncio.get_running_loop().time
        self.every_s = every_s
        self.takes_s = takes_s
        self.done_at_s: list[float] = []
        self.contexts: list[str] = []
        self.failures: list[tuple[str, BaseException]] = []
        self.left: Callable[[], float] = lambda: 0.0

    def begin(self, after_s: float = 1.0) -> Recurring:
        def failed(name: str, error: BaseException) -> None:
            self.failures.append((name, error))

        return Recurring("work", lambda: self.left(), self, failed, after_s=after_s)

    async def __call__(self) -> float | None:
        self.done_at_s.append(self.clock())
        self.contexts.append(_request.get("none"))
        await asyncio.sleep(self.takes_s)
        return self.every_s


def test_work_is_done_again_as_many_seconds_later_as_it_says_and_has_no_task_in_between() -> None:
    async def play() -> None:
        work = Work()
        work.begin()
        await asyncio.sleep(5)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(20)
        assert work.done_at_s == [1, 11, 21]

    run_in_virtual_time(play())


def test_long_waits_that_begin_one_after_the_other_end_together() -> None:
    async def play() -> None:
        works = [Work(), Work(), Work()]
        for work in works:
            work.begin(after_s=0)
            await asyncio.sleep(0.02)
        await asyncio.sleep(15)
        assert [work.done_at_s for work in works] == [[0, 10], [0.02, 10.0625], [0.04, 10.0625]]

    run_in_virtual_time(play())


def test_work_that_need_not_be_done_yet_waits() -> None:
    async def play() -> None:
        work = Work()
        work.left = lambda: 7 - work.clock()
        work.begin()
        await asyncio.sleep(10)
        assert work.done_at_s == [7]

    run_in_virtual_time(play())


def test_hurried_work_is_done_at_once_and_once_more_if_it_was_being_done() -> None:
    async def play() -> None:
        work = Work(takes_s=2)
        recurring = work.begin(after_s=100)
        await asyncio.sleep(3)
        recurring.hurry()
        await asyncio.sleep(1)
        recurring.hurry()
        recurring.hurry()
        await asyncio.sleep(10)
        assert work.done_at_s == [3, 5]

    run_in_virtual_time(play())


def test_work_that_says_so_ends_and_is_not_hurried_any_more() -> None:
    async def play() -> None:
        work = Work(every_s=None)
        recurring = work.begin()
        await asyncio.sleep(5)
        recurring.hurry()
        await asyncio.sleep(50)
        assert work.done_at_s == [1]

    run_in_virtual_time(play())


def test_work_that_is_stopped_ends_in_the_middle_and_in_between() -> None:
    async def play() -> None:
        doing, waiting = Work(takes_s=50), Work()
        stopped = [doing.begin(), waiting.begin()]
        await asyncio.sleep(2)
        for each in stopped:
            each.stop()
        await asyncio.sleep(100)
        assert (doing.done_at_s, waiting.done_at_s) == ([1], [1])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not doing.failures

    run_in_virtual_time(play())


def test_an_error_is_told_once_and_ends_the_work() -> None:
    async def play() -> None:
        error, work = OSError("broken"), Work()

        def fails() -> float:
            raise error

        async def failing() -> float:
            return fails()

        Recurring("look", lambda: 0.0, failing, lambda *told: work.failures.append(told), after_s=1)
        await asyncio.sleep(100)
        assert work.failures == [("look", error)]

    run_in_virtual_time(play())


def test_work_belongs_to_the_context_in_which_it_began_whoever_hurries_it() -> None:
    async def play() -> None:
        work = Work()
        _request.set("first")
        recurring = work.begin()
        _request.set("second")
        await asyncio.sleep(2)
        recurring.hurry()
        await asyncio.sleep(2)
        assert work.contexts == ["first", "first"]

    run_in_virtual_time(play())
