"""Names are looked up on threads of their own, so that slow DNS makes nobody else wait."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tailrace.errors import AgentError
from tailrace.network import resolver
from tailrace.network.resolver import Resolver
from tests.support.conditions import eventually


class SlowDNS:
    """Lookups that take until they are let go. Names that begin with `fast` are answered at once."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.go = threading.Event()

    def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked[host] += 1
        if not host.startswith("fast"):
            assert self.go.wait(60)
        return [(2, 1, 6, "", ("192.0.2.1", port))]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDNS]:
    slow = SlowDNS()
    monkeypatch.setattr(resolver, "getaddrinfo", slow.getaddrinfo)
    yield slow
    slow.go.set()


async def test_slow_names_take_none_of_the_threads_that_others_use(dns: SlowDNS) -> None:
    with ThreadPoolExecutor(1) as only_one:
        asyncio.get_running_loop().set_default_executor(only_one)
        resolving = Resolver(timeout_s=30)
        slow = [asyncio.create_task(resolving.addresses(f"slow-{n}.example", 443)) for n in range(20)]
        await eventually(lambda: dns.asked.total() == resolver.THREADS)
        assert await asyncio.to_thread(lambda: "done") == "done"
        assert not any(each.done() for each in slow)
        assert dns.asked.total() == resolver.THREADS
        dns.go.set()
        assert {str(address) for addresses in await asyncio.gather(*slow) for address in addresses} == {"192.0.2.1"}
    assert set(dns.asked.values()) == {1}


async def test_a_name_is_given_up_in_time_and_takes_one_thread_however_often_it_is_tried(dns: SlowDNS) -> None:
    resolving = Resolver(timeout_s=0.01)
    for _ in range(2 * resolver.THREADS):
        with pytest.raises(AgentError, match=r"'slow\.example' could not be resolved within 0\.01 seconds"):
            await resolving.addresses("slow.example", 443)
    await eventually(lambda: dns.asked)
    assert dns.asked == {"slow.example": 1}
    patient = Resolver(timeout_s=30)
    assert await patient.addresses("fast.example", 443)


async def test_who_stops_waiting_takes_nothing_from_the_others(dns: SlowDNS) -> None:
    resolving = Resolver(timeout_s=30)
    first, second = (asyncio.create_task(resolving.addresses("slow.example", 443)) for _ in range(2))
    await eventually(lambda: dns.asked.total() == 1)
    first.cancel()
    dns.go.set()
    assert len(await second) == 1
    assert first.cancelled()


async def test_a_name_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(resolver, "getaddrinfo", getaddrinfo)
    with pytest.raises(AgentError, match=r"'nowhere\.example' could not be resolved: .*not known"):
        await Resolver(timeout_s=30).addresses("nowhere.example", 443)


@pytest.mark.parametrize("name", ["a" * 64 + ".example", ".."])
async def test_what_cannot_be_a_name_is_told(name: str) -> None:
    with pytest.raises(AgentError, match="could not be resolved: "):
        await Resolver(timeout_s=30).addresses(name, 443)
