"""A webhook whose DNS does not answer delays neither runs nor other webhooks."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tailrace.network import resolver
from tests.sample_agents.hello_world import hello_world
from tests.support.conditions import eventually
from tests.support.events import message
from tests.support.in_process import agent
from tests.support.webhook_receiver import deliveries_have_ended, receiver, sending, told


async def test_a_task_is_delivered_while_six_webhooks_wait_for_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts: set[str] = set()
    go = threading.Event()

    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        if host.endswith(".slow.example"):
            hosts.add(host)
            assert go.wait(60)
            raise OSError("nobody knows it")
        return socket.getaddrinfo(host, port, **options)

    monkeypatch.setattr(resolver, "getaddrinfo", getaddrinfo)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    try:
        async with receiver() as hook, agent(hello_world(), push_internal=1) as served:
            for n in range(6):
                config = {"taskPushNotificationConfig": {"url": f"https://{n}.slow.example/"}}
                await served.result("SendMessage", {"message": message("hello"), "configuration": config})
            await eventually(lambda: len(hosts) == 6)
            task = (await served.result("SendMessage", sending("hello", hook)))["task"]
            await told(served, task["id"], hook)
            assert not go.is_set()
    finally:
        go.set()
    await deliveries_have_ended()
