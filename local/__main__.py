"""`python -m local`: runs each function in its own process and restarts it when it dies, until Ctrl-C.

Prints the address of the page as soon as it can be used; it lets one browser in, once. Exits with an error if the
gateway or the orchestrator does not start.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from local.address import command, new_address_of
from local.functions import all_functions, strays
from local.run_files import run_address, run_secret
from local.supervisor import Supervisor, say
from tailrace.config import Settings
from tailrace.errors import ConfigError, TailraceError
from tailrace.log import data_folder
from tailrace.stores.private import private_folder


async def run() -> None:
    settings = Settings.load()
    check(settings)
    with run_secret(settings) as secret:
        await supervise(settings, secret)


def check(settings: Settings) -> None:
    """Make the data folder.

    Raises:
        ConfigError: the folder cannot be made or written to, or the functions cannot share the log.
    """
    if settings.log == "memory":
        right = "sqlite or dynamodb for `make run`: its processes share the log"
        raise ConfigError("TAILRACE_LOG", settings.log, right)
    data_folder(settings)


async def supervise(settings: Settings, secret: str) -> None:
    """Run all functions until SIGINT, SIGTERM or SIGHUP. They share `secret`."""
    logs = private_folder(Path(settings.data_dir) / "logs")
    functions = all_functions(settings.port, Path(settings.data_dir))
    for name in strays():
        say(f"functions/{name} is no agent: it has no handler.py.")
    supervisor = Supervisor(functions, logs, secret)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    ends = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        ends.append(signal.SIGHUP)
    for number in ends:
        loop.add_signal_handler(number, stopped.set)
    supervisor.start()
    ready, stop = asyncio.create_task(supervisor.ready()), asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait([ready, stop], return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            url = functions[-1].url.rstrip("/")
            with run_address(settings, url):
                say(await new_address_of(settings, url))
                if not settings.knows_people:
                    say(f"This address lets one browser in. `{command(settings)}` prints one for another.")
                await stop
    finally:
        ready.cancel()
        stop.cancel()
        await supervisor.stop()


def main() -> None:
    # Files (logs have users' requests) are readable only for the user who runs this.
    os.umask(0o077)
    try:
        asyncio.run(run())
    except (TailraceError, OSError) as error:
        raise SystemExit(f"tailrace: {error}") from None


if __name__ == "__main__":
    main()
