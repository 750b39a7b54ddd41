"""One function as a process: `python -m local.serve NAME --fd N` serves it on a socket that is bound already.

The supervisor (`python -m local`) binds the sockets and keeps them, so a function that is restarted is
found at the same address, and who calls in between waits instead of being refused.
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
from typing import Any

import uvicorn

from gateway.owner import local_owner, secret_owner
from local.lifeline import end_with_supervisor
from tailrace.config import Settings
from tailrace.errors import ConfigError, TailraceError
from tailrace.owner import DecideOwner


def app_of(name: str, host: str) -> Any:
    """The ASGI app of the function `name`, as it may be served on the address `host`.

    Raises:
        ConfigError: others can reach `host`, and nothing says who may ask.
    """
    if name == "gateway":
        from local.site import create_site

        settings = Settings.load()
        return create_site(settings, owner_on(host, settings))
    if not ipaddress.ip_address(host).is_loopback:
        raise ConfigError("the address of an agent", host, "loopback: agents trust whoever reaches them")
    module = importlib.import_module(f"{name}.handler")
    app = getattr(module, "app", None)
    if not callable(app):
        there = "no `app`" if app is None else f"an `app` that is a {type(app).__name__}"
        raise TailraceError(
            f"functions/{name}/handler.py has {there}, but must have one like `app = AgentApp(graph, card)`."
        )
    return app


def owner_on(host: str, settings: Settings) -> DecideOwner:
    """Who may ask a gateway on `host`: on loopback this machine's user, elsewhere who knows the secret.

    Raises:
        ConfigError: `host` is not loopback, and there is no secret.
    """
    if ipaddress.ip_address(host).is_loopback:
        return local_owner
    if not settings.access_secret:
        raise ConfigError("TAILRACE_ACCESS_SECRET", "", f"set for a gateway on {host}, which others can reach")
    return secret_owner(settings.access_secret)


def serve(app: Any, descriptor: int) -> None:
    """Serve `app` on the listening socket `descriptor` until a signal comes."""
    _spare_the_collector()
    # TCP is named, because asyncio turns Nagle's algorithm off only where it sees that it is TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=descriptor)
    config = uvicorn.Config(
        app, log_level="warning", http="httptools", ws="none", timeout_graceful_shutdown=2, server_header=False
    )
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.serve", description=__doc__)
    parser.add_argument("name", help="a folder of functions/")
    parser.add_argument("--fd", type=int, required=True, help="the listening socket to serve on")
    given = parser.parse_args()
    end_with_supervisor()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        with socket.socket(fileno=os.dup(given.fd)) as listener:
            host = listener.getsockname()[0]
        app = app_of(given.name, host)
    except TailraceError as error:
        raise SystemExit(f"{given.name}: {error}") from None
    except Exception as error:
        raise SystemExit(authors_traceback(error)) from None
    serve(app, given.fd)


def authors_traceback(error: Exception) -> str:
    """The error as Python tells it, from the first line of the function's own code on."""
    frames = error.__traceback__
    loaders = (__file__, importlib.__file__, "<frozen importlib")
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(loaders):
        frames = frames.tb_next
    return "".join(traceback.format_exception(error.with_traceback(frames)))


def _spare_the_collector() -> None:
    """Keep the garbage collector from walking all that was imported, again and again, while streams wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


if __name__ == "__main__":
    main()
