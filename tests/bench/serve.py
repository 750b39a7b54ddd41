"""`python -m tests.bench.serve NAME --fd N`: serve `tests.bench.servers.NAME` as `local/serve.py` serves a function."""

from __future__ import annotations

import argparse
import importlib

from local.serve import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serve", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--fd", type=int, required=True)
    given = parser.parse_args()
    serve(importlib.import_module(f"tests.bench.servers.{given.name}").app, given.fd)


if __name__ == "__main__":
    main()
