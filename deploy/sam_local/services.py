"""What `sam local` does not run: `python -m deploy.sam_local.services` (or `make sam-services`), until Ctrl-C.

    sam build && make sam-services     in one terminal
    sam local start-api                in another one; then POST to http://127.0.0.1:3000/api/tasks

An emulated DynamoDB, S3 and SSM, and the way from container to container, at fixed ports of an address that containers
can reach, but other machines cannot. samconfig.toml tells the functions where. The data is lost when the command ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import tempfile
from pathlib import Path

from deploy.sam_local import ROOT, SamLocalError, say
from deploy.sam_local.docker import HOST, reachable_address
from deploy.sam_local.emulated import emulated
from deploy.sam_local.proxy import Proxy, serving
from deploy.sam_local.sam import agents_in, expand

AWS_PORT, AGENTS_PORT, START_API_PORT = 4567, 4568, 3000


async def serve() -> None:
    """Serve it until SIGINT or SIGTERM.

    Raises:
        SamLocalError: a port is not free, or Docker does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        expanded = Path(folder) / "template.yaml"
        expand(ROOT / "template.yaml", expanded)
        agents = agents_in(expanded)
    address = reachable_address()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(_listen(address, AGENTS_PORT))
        _listen(address, AWS_PORT).close()  # the emulator would only say so on its own console
        urls = {name: f"http://{HOST}:{AGENTS_PORT}/agents/{name}/" for name in agents}
        stack.enter_context(emulated(address, AWS_PORT, urls))
        proxy = Proxy(f"http://127.0.0.1:{START_API_PORT}")
        stack.push_async_callback(proxy.close)
        await stack.enter_async_context(serving(proxy.agents(), listener))
        say(f"DynamoDB, S3 and SSM are emulated at {address}:{AWS_PORT}; now: sam local start-api")
        await stopped.wait()


def _listen(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port))
    except OSError as error:
        raise SamLocalError(f"{address}:{port}: {error.strerror}. Do the services run already?") from None


def main() -> None:
    try:
        asyncio.run(serve())
    except SamLocalError as error:
        sys.exit(f"sam-services: {error}")


if __name__ == "__main__":
    main()
