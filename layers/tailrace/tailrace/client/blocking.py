"""`Client`: the same as `AsyncClient` for programs without an event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tailrace.client.api import PATIENCE_S, AsyncClient
from tailrace.client.backoff import OnCut
from tailrace.client.event import Event
from tailrace.client.files import Files, OnProgress
from tailrace.client.task import Agent, Task

T = TypeVar("T")


class Client:
    """`AsyncClient` for programs without an event loop: the same methods, arguments and errors, without `await`.

    Use it as a context manager. It runs an event loop in a thread; `on_cut` and `on_progress` are called there.

    Example:
        def main() -> None:
            with Client() as client:
                task = client.send("What happened at 10:30?", files=["app.log", "cpu.csv"])
                for event in client.stream(task):
                    print(event.seq, event.kind, event.text)
                print(client.task(task).text)
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        patience_s: float = PATIENCE_S,
        on_cut: OnCut | None = None,
    ) -> None:
        self._client = AsyncClient(url, token=token, patience_s=patience_s, on_cut=on_cut)
        self._stack = ExitStack()
        self._loop: BlockingPortal | None = None

    def __enter__(self) -> Self:
        self._portal  # noqa: B018 - starts the thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and end the thread. The tasks go on."""
        if self._loop is not None:
            try:
                self._call(self._client.close)
            finally:
                self._loop = None
                self._stack.close()

    def url(self) -> str:
        """Where the server is asked, once it has answered."""
        return self._call(self._client.url)

    def send(
        self,
        text: str = "",
        *,
        files: Files = (),
        data: Iterable[Any] = (),
        agent: str | None = None,
        context_id: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Task:
        """Begin a task, as `AsyncClient.send` does."""
        return self._call(
            lambda: self._client.send(
                text, files=files, data=data, agent=agent, context_id=context_id, on_progress=on_progress
            )
        )

    def stream(self, task: Task | str, cursor: int = 0) -> Iterator[Event]:
        """The task's events, as `AsyncClient.stream` tells them."""
        return self._each(self._client.stream(task, cursor))

    def reply(
        self,
        task: Task | str,
        answer: Any = None,
        *,
        answers: dict[str, Any] | None = None,
        files: Files = (),
        on_progress: OnProgress | None = None,
    ) -> None:
        """Answer what a task asks, as `AsyncClient.reply` does."""
        self._call(lambda: self._client.reply(task, answer, answers=answers, files=files, on_progress=on_progress))

    def cancel(self, task: Task | str) -> None:
        """Cancel a task."""
        self._call(lambda: self._client.cancel(task))

    def task(self, task: Task | str) -> Task:
        """The task as it is now, with its artifacts."""
        return self._call(lambda: self._client.task(task))

    def tasks(self) -> Iterator[Task]:
        """The caller's tasks, newest first, without their artifacts."""
        return self._each(self._client.tasks())

    def agents(self) -> list[Agent]:
        """The agents that can be asked, the default one first."""
        return self._call(self._client.agents)

    @property
    def _portal(self) -> BlockingPortal:
        if self._loop is None:
            self._loop = self._stack.enter_context(start_blocking_portal("asyncio"))
        return self._loop

    def _call(self, function: Callable[[], Awaitable[T]]) -> T:
        future = self._portal.start_task_soon(function)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C reaches this thread only
            raise

    def _each(self, items: AsyncGenerator[T]) -> Iterator[T]:
        async def following() -> T | None:
            return await anext(items, None)

        try:
            while (item := self._call(following)) is not None:
                yield item
        except GeneratorExit:
            self._call(items.aclose)
            raise
