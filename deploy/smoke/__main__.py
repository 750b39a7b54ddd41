"""`python -m deploy.smoke URL`: check a deployment, and print what was measured.

Exit status 0 if everything is right; 1 if the deployment breaks a promise, with what to do; 2 for wrong arguments.
TAILRACE_ACCESS_SECRET is the gateway's secret, TAILRACE_TOKEN a token of `make token`.
Times are printed, but no time is too long.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from deploy.smoke.bill import lines_of
from deploy.smoke.report import SmokeError
from deploy.smoke.run import check


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.smoke", description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?", help="the page's URL, as `make deploy` prints it")
    parser.add_argument("--stack", help="also read this stack's log lines with your credentials, and check the bill")
    arguments = parser.parse_args()
    if arguments.url is None:
        parser.error("the page's URL is missing, which `make deploy` prints: make smoke URL=https://… SECRET=…")
    if not arguments.url.startswith(("http://", "https://")):
        parser.error(f"{arguments.url!r} is no http or https URL")
    lines = lines_of(arguments.stack) if arguments.stack else None
    secret, token = (os.environ.get(name, "") for name in ("TAILRACE_ACCESS_SECRET", "TAILRACE_TOKEN"))
    try:
        asyncio.run(check(arguments.url, secret, token=token, lines=lines))
    except SmokeError as error:
        print(f"smoke: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
