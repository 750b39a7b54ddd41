"""`make address`: prints an address of the page of `make run` that lets one browser in, once, within a day."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import fields

import httpx

from local.run_files import run_addresses
from tailrace.access import open_credentials
from tailrace.access.credential import new_address
from tailrace.config import Settings
from tailrace.errors import TailraceError

PARAMETER = "token"
_LASTS_S = 86_400
_ANSWER_S = 10.0


def command(settings: Settings) -> str:
    """The command of a shell that prints another address, in the project's folder."""
    (data_dir,) = [each for each in fields(settings) if each.name == "data_dir"]
    if settings.data_dir == data_dir.default:
        return "make address"
    return f"{data_dir.metadata['variable']}={shlex.quote(settings.data_dir)} make address"


async def new_address_of(settings: Settings, url: str) -> str:
    """An address of the page at `url` that lets a browser in. It is `url` itself where people sign in.

    Raises:
        LogUnavailable: the store of credentials did not answer.
    """
    if settings.knows_people:
        return url
    credentials = open_credentials(settings)
    try:
        address, token = new_address(now=credentials.now(), lasts_s=_LASTS_S)
        await credentials.keep(address)
    finally:
        await credentials.close()
    return f"{url}/?{PARAMETER}={token}"


async def another_address(settings: Settings) -> str:
    """An address of the `make run` that uses the data folder; the page's own where it says that people sign in.

    Raises:
        TailraceError: there is no such run, or its store of credentials did not answer.
        OSError: the run's file cannot be read.
    """
    async with httpx.AsyncClient(timeout=_ANSWER_S) as http:
        for url in reversed(run_addresses(settings)):
            try:
                told = (await http.get(f"{url}/api/auth/me")).json()
            except (httpx.HTTPError, ValueError):
                continue  # it was killed
            return await new_address_of(settings, url) if "command" in told else url
    right = "TAILRACE_DATA_DIR names another"
    raise TailraceError(f"`make run` does not run in the data folder {settings.data_dir!r}; {right}.")


def main() -> None:
    try:
        print(asyncio.run(another_address(Settings.load())))
    except (TailraceError, OSError) as error:
        raise SystemExit(f"tailrace: {error}") from None


if __name__ == "__main__":
    main()
