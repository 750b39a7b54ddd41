"""Runs everything in containers on this machine: `python -m deploy.sam_local` (or `make sam-local`), until Ctrl-C.

Builds, starts an emulated DynamoDB, S3 and SSM and `sam local start-api`, and prints the address of the page when every
function has answered. Needs Docker, but no AWS account. Each request starts a new container, which takes a second or
two.

    browser ─► page and /api/* on 127.0.0.1 ──► sam local start-api ──► a container per request
           /agents/*, Invoke where containers reach this machine ◄──┤  (agents are called through here)
        emulated DynamoDB, S3 and SSM, also there  ◄──────────────────┘

The page is on loopback only. What the containers need is on an address that they can reach, but other machines cannot.
The emulated data is lost when the command ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx

from deploy.sam_local import SamLocalError, say
from deploy.sam_local.docker import HOST, prepare_image, reachable_address, remove_containers
from deploy.sam_local.emulated import container_settings, emulated
from deploy.sam_local.proxy import FOREVER, Proxy, serving
from deploy.sam_local.sam import agents_in, build, start_api
from local.functions import listen
from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.stores.private import private_folder

# The first request to a function builds the image of its containers.
_READY_S = 300.0


async def ready(http: httpx.AsyncClient, sam: asyncio.subprocess.Process, agents: list[str], log: Path) -> None:
    """Return when every function has answered once. `agents` are their URLs.

    Raises:
        SamLocalError: one did not answer, or sam ended. The message names the log.
    """
    paths = ["/api/health", *(f"{url}.well-known/agent-card.json" for url in agents)]
    try:
        async with asyncio.timeout(_READY_S):
            for path in paths:
                while (status := await _status(http, path)) != 200:
                    if sam.returncode is not None:
                        raise SamLocalError(f"sam local start-api ended; see {log}")
                    if status is not None:
                        raise SamLocalError(f"{path} answered {status}; see {log}")
                    await asyncio.sleep(0.2)
    except TimeoutError:
        raise SamLocalError(f"{path} did not answer within {_READY_S:.0f} s; see {log}") from None


async def _status(http: httpx.AsyncClient, path: str) -> int | None:
    """The status of an answer; None while sam or the function's container is not there."""
    with contextlib.suppress(httpx.HTTPError):
        answer = await http.get(path)
        if answer.status_code != 502 and "retry-after" not in answer.headers:
            return answer.status_code
    return None


async def everything(page: socket.socket, folder: Path) -> None:
    """Serve the page on the socket `page` until Ctrl-C. Build, log and settings of containers go into `folder`.

    Raises:
        SamLocalError: something that is needed does not work, or sam ended.
    """
    environment, log = folder / "environment.json", folder / "sam.log"
    await asyncio.to_thread(prepare_image)
    say("building")
    template = await asyncio.to_thread(build, folder)
    address = reachable_address()
    inside = socket.create_server((address, 0))
    inside_port = inside.getsockname()[1]
    sam_port = _free_port()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        paths = {name: f":{inside_port}/agents/{name}/" for name in agents_in(template)}
        agents = {name: f"http://{HOST}{path}" for name, path in paths.items()}
        port = stack.enter_context(emulated(address, agents=agents))
        # The browser also uses this address, because presigned uploads name it.
        s3 = f"http://{address}:{port}"
        inside_url = f"http://{HOST}:{inside_port}"
        aws = f"http://{HOST}:{port}"
        environment.write_text(json.dumps(container_settings(aws, s3, inside_url)))
        say("starting sam local start-api; the first response of each function takes a while")
        stack.push_async_callback(asyncio.to_thread, remove_containers, f"AWS_ENDPOINT_URL_DYNAMODB={aws}")
        proxy = Proxy(f"http://127.0.0.1:{sam_port}")
        stack.push_async_callback(proxy.close)
        await stack.enter_async_context(serving(proxy.page(s3), page))
        await stack.enter_async_context(serving(proxy.agents(), inside))
        # sam is stopped before them, so that every request under way has an answer when they end.
        sam = await stack.enter_async_context(start_api(template, environment, sam_port, log))
        stack.push_async_callback(proxy.invocations.close)
        url = f"http://127.0.0.1:{page.getsockname()[1]}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=FOREVER, trust_env=False))
        await _until_stopped(
            stopped, sam, ready(http, sam, [f"http://{address}{path}" for path in paths.values()], log), url, log
        )


def _free_port() -> int:
    with listen(0) as listener:
        return int(listener.getsockname()[1])


async def _until_stopped(
    stopped: asyncio.Event,
    sam: asyncio.subprocess.Process,
    functions_ready: Coroutine[Any, Any, None],
    url: str,
    log: Path,
) -> None:
    """Print the page's `url` when the functions are ready, and return when `stopped` is set.

    Raises:
        SamLocalError: a function did not become ready, or sam ended.
    """
    stopping, ending = asyncio.create_task(stopped.wait()), asyncio.create_task(sam.wait())
    starting = asyncio.create_task(functions_ready)
    try:
        await asyncio.wait([stopping, ending, starting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            say(url)
            await asyncio.wait([stopping, ending], return_when=asyncio.FIRST_COMPLETED)
        if not stopped.is_set():
            raise SamLocalError(f"sam local start-api ended; see {log}")
    finally:
        for task in (stopping, ending, starting):
            task.cancel()
        await asyncio.gather(stopping, ending, starting, return_exceptions=True)


def main() -> None:
    try:
        settings = Settings.load()
        folder = private_folder(Path(settings.data_dir).resolve()) / "sam-local"
        folder.mkdir(exist_ok=True)
        asyncio.run(everything(listen(settings.port), folder))
    except (SamLocalError, ConfigError, OSError) as error:
        sys.exit(f"sam-local: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
