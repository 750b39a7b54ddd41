"""Our client drives an agent on the official JavaScript SDK's server (@a2a-js/sdk 1.3.0)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from tailrace.client import AsyncClient
from tests.interop.cached import HERE, node_with
from tests.support.cutting_proxy import Proxy


@dataclass
class Served:
    """The agent behind a proxy."""

    proxy: Proxy
    url: str

    async def open(self) -> None:
        """Let its slow tasks go on."""
        async with httpx.AsyncClient() as http:
            await http.get(f"{self.url}/open")


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[Served]:
    """Run the agent, and a proxy in front of it that its card names."""
    node, folder = await asyncio.to_thread(node_with, HERE / "js")
    proxy = Proxy("127.0.0.1", 0)
    front = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{front.sockets[0].getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        *(node, "server.mjs", f"{proxy.url}/"), cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            assert process.stdout is not None
            port = int(await process.stdout.readline())
            proxy.to = "127.0.0.1", port
            yield Served(proxy, f"http://127.0.0.1:{port}")
    finally:
        front.close()
        await proxy.close()
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_a_task_is_followed_through_a_cut_and_a_question_is_answered() -> None:
    async with served() as agent, AsyncClient(agent.proxy.url) as client:
        assert [each.name for each in await client.agents()] == ["js"]
        seen = []
        async for event in client.stream(task := await client.send("slow")):
            seen.append(event)
            if event.artifact and event.text == "Hello, ":
                agent.proxy.cut()
                await agent.open()
        assert [event.kind for event in seen[:3]] == ["snapshot", "state", "token"]
        assert "snapshot" in [event.kind for event in seen[3:]]
        assert seen[-1].ended
        assert (await client.task(task)).text == "Hello, world."
        waiting = await client.send("ask")
        assert [event.text async for event in client.stream(waiting)][-1] == "Which service?"
        await client.reply(waiting, "nginx")
        assert [event.state async for event in client.stream(waiting)][-1] == "TASK_STATE_COMPLETED"
