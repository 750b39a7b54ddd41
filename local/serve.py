"""One function as a process: `python -m local.serve NAME --fd N` serves it on a listening socket.

The supervisor (`python -m local`) keeps the sockets open. So a restarted function has the same address, and requests in
between wait instead of being refused.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import ipaddress
import logging
import os
import socket
import traceback
from pathlib import Path
from typing import Any

import uvicorn

from gateway.owner import LocalUser, digest_owner
from local.address import command
from local.functions import FUNCTIONS
from local.lifeline import end_with_supervisor
from local.packages import use_packages
from local.run_files import SECRET, run_file
from tailrace.config import Settings
from tailrace.errors import ConfigError, TailraceError
from tailrace.owner import DecideOwner


def app_of(name: str, host: str) -> Any:
    """Return the ASGI app of the function `name`, to be served on the address `host`.

    Raises:
        ConfigError: other machines can reach `host`, but nothing restricts who may use it.
        TailraceError: the function's handler.py has no usable `app`.
    """
    use_packages(FUNCTIONS / name / "requirements.txt", Path(Settings.load().data_dir))
    if name == "gateway":
        from local.site import create_site

        settings = Settings.load()
        return create_site(settings, owner_on(host, settings))
    if not ipaddress.ip_address(host).is_loopback:
        raise ConfigError(
            "the address of an agent", host, "loopback, because agents trust everybody who can reach them"
        )
    module = importlib.import_module(f"{name}.handler")
    app = getattr(module, "app", None)
    if not callable(app):
        actual = "no `app`" if app is None else f"an `app` that is a {type(app).__name__}"
        raise TailraceError(
            f"functions/{name}/handler.py has {actual}, but must have one like `app = AgentApp(graph, card)`."
        )
    return app


def owner_on(host: str, settings: Settings) -> DecideOwner:
    """Return how a gateway on `host` knows its users: on loopback as this machine's user, elsewhere by the secret.

    Where people sign in, this machine's user does too.

    Raises:
        ConfigError: `host` is not loopback, and nobody could come in.
    """
    if ipaddress.ip_address(host).is_loopback and not settings.knows_people:
        return LocalUser(settings.run_secret, str(run_file(settings, SECRET).absolute()), command(settings))
    if not settings.access_digest and not settings.knows_people:
        raise ConfigError("TAILRACE_ACCESS_SECRET", "", f"set for a gateway on {host}, which other machines can reach")
    return digest_owner(settings.access_digest)


def serve(app: Any, descriptor: int) -> None:
    """Serve `app` on the listening socket `descriptor` until SIGINT or SIGTERM."""
    _tune_garbage_collector()
    # TCP is named because asyncio turns off Nagle's algorithm only if it sees that it is TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=descriptor)
    config = uvicorn.Config(
        app, log_level="warning", http="httptools", ws="none", timeout_graceful_shutdown=2, server_header=False
    )
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    gc.disable()  # it would visit all that is imported again and again, which costs a fifth of the start
    parser = argparse.ArgumentParser(prog="python -m local.serve", description=__doc__)
    parser.add_argument("name", help="a folder of functions/")
    parser.add_argument("--fd", type=int, required=True, help="the listening socket to serve on")
    arguments = parser.parse_args()
    end_with_supervisor()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        with socket.socket(fileno=os.dup(arguments.fd)) as listener:
            host = listener.getsockname()[0]
        app = app_of(arguments.name, host)
    except TailraceError as error:
        raise SystemExit(f"{arguments.name}: {error}") from None
    except Exception as error:
        raise SystemExit(authors_traceback(error)) from None
    serve(app, arguments.fd)


def authors_traceback(error: Exception) -> str:
    """Return the traceback of `error` from the first line of the function's own code on."""
    frames = error.__traceback__
    loaders = (__file__, importlib.__file__, "<frozen importlib")
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(loaders):
        frames = frames.tb_next
    return "".join(traceback.format_exception(error.with_traceback(frames)))


def _tune_garbage_collector() -> None:
    """Keep the garbage collector from visiting all imported objects again and again while streams wait."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 50)


if __name__ == "__main__":
    main()
