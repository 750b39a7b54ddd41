"""Large requests are read a few at a time, small ones do not wait for them, and nobody is refused."""

from __future__ import annotations

import asyncio
import base64
import gzip
import threading

from tailrace.events import Message
from tailrace.inputs.turns import in_turn
from tests.support.events import message_of


def message(size: int) -> Message:
    return message_of({"raw": base64.b64encode(gzip.compress(b"x" * size)).decode()}, {"text": "x"}, {"data": None})


async def test_eight_small_ones_are_read_while_large_ones_are_not_done() -> None:
    reading, most, release, lock = 0, 0, threading.Event(), threading.Lock()
    full = threading.Event()

    def slow(_: list[Message]) -> str:
        nonlocal reading, most
        with lock:
            reading += 1
            most = max(most, reading)
            if reading == 4:
                full.set()
        assert release.wait(60)
        with lock:
            reading -= 1
        return "large"

    large = [asyncio.create_task(in_turn(slow, [message(60_000_000)])) for _ in range(8)]
    try:
        assert await asyncio.to_thread(full.wait, 30)
        small = await asyncio.gather(*(in_turn(lambda _: "small", [message(9_000)]) for _ in range(8)))
        assert small == ["small"] * 8
        assert not any(task.done() for task in large)
    finally:
        release.set()
    assert await asyncio.gather(*large) == ["large"] * 8
    assert most == 4


async def test_an_upload_waits_for_its_turn_like_a_large_file() -> None:
    thread = await in_turn(lambda _: threading.current_thread().name, [message_of({"url": "urn:x"})])
    assert thread.startswith("tailrace-large-request")


async def test_only_text_needs_no_thread() -> None:
    here = threading.current_thread()
    assert await in_turn(lambda _: threading.current_thread(), [message_of({"text": "x"}, {"text": "y"})]) is here
    for other in ({"data": 1}, {"raw": "eA=="}, {"text": "x", "filename": "x.txt"}):
        messages = [message_of({"text": "x"}, other)]
        assert await in_turn(lambda _: threading.current_thread(), messages) is not here


async def test_what_reading_raises_reaches_who_asked() -> None:
    for size in (10, 60_000_000):
        try:
            await in_turn(lambda messages: messages[1], [message(size)])
        except IndexError:
            continue
        raise AssertionError("nothing was raised")
