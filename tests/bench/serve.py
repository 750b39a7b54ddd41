"""`python -m tests.bench.serve NAME --fd N`: serve `tests.bench.servers.NAME` as `local/serve.py` serves a function."""

from __future__ import annotations

import argparse
import importlib
import socket

import uvicorn


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serve", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--fd", type=int, required=True)
    given = parser.parse_args()
    config = uvicorn.Config(
        importlib.import_module(f"tests.bench.servers.{given.name}").app,
        log_level="warning",
        http="httptools",
        ws="none",
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=given.fd)])


if __name__ == "__main__":
    main()
