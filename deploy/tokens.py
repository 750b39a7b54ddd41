"""Tokens of machines: `python -m deploy.tokens new NAME` prints one, once; `list` and `revoke ID` manage them.

They are kept where the gateway keeps its sessions: in the data folder of `make run`, or with --stack in the table of a
deployment. Only their hashes are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from deploy.publish import outputs_of
from deploy.refusals import reason_of
from tailrace.access import Credential, Credentials, open_credentials
from tailrace.access.credential import SCOPES, TOKENS, new_token
from tailrace.config import Settings
from tailrace.errors import TailraceError

_DAYS = 90
_LONGEST_DAYS = 3650
_MAX_NAME = 64
_DAY_S = 86_400


async def make(store: Credentials, name: str, scopes: tuple[str, ...], days: int) -> str:
    """Keep a new token, and return what to print: its text is on the first line, and is nowhere else."""
    token, text = new_token(name, scopes, now=int(time.time()), lasts_s=days * _DAY_S)
    await store.keep(token)
    return f"{text}\n\nThis is shown once. Send it as `Authorization: Bearer …`. {_described(token)}"


async def listed(store: Credentials) -> str:
    tokens = await store.of(TOKENS)
    return "\n".join(map(_described, tokens)) or "There are no tokens. `make token NAME=ci` makes one."


async def revoke(store: Credentials, token_id: str) -> str:
    """Delete a token.

    Raises:
        TailraceError: there is none with this id.
    """
    if not await store.end(TOKENS, token_id):
        raise TailraceError(f"There is no token {token_id!r}. `make tokens` lists them.")
    return f"The token {token_id} is revoked. Requests with it are refused from now on."


def _described(token: Credential) -> str:
    end = datetime.fromtimestamp(token.expires, UTC).strftime("%Y-%m-%d")
    return f"{token.id}  {token.name}  {','.join(token.scopes)}  until {end}  owner {token.owner}"


def _scopes(text: str) -> tuple[str, ...]:
    wanted = {each.strip() for each in text.split(",") if each.strip()}
    if not wanted or wanted.difference(SCOPES):
        raise argparse.ArgumentTypeError(f"{text!r} must be some of {', '.join(SCOPES)}, with commas")
    return tuple(each for each in SCOPES if each in wanted)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LONGEST_DAYS):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 to {_LONGEST_DAYS}")
    return int(text)


def _name(text: str) -> str:
    if not (0 < len(text) <= _MAX_NAME and text.isprintable() and text.strip() == text):
        raise argparse.ArgumentTypeError(f"{text!r} must have 1 to {_MAX_NAME} characters that can be printed")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.tokens", description=__doc__.splitlines()[0])
    parser.add_argument("--stack", help="the deployment; without it the tokens are those of `make run`")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="make a token and print it")
    new.add_argument("name", type=_name, help="what the token is for; tokens of one name have one owner")
    new.add_argument("--scopes", type=_scopes, default=SCOPES, help="read, write or read,write")
    new.add_argument("--days", type=_days, default=_DAYS, help="how long it holds")
    commands.add_parser("list", help="list the tokens that hold")
    commands.add_parser("revoke", help="revoke a token").add_argument("id")
    return parser


def _settings(stack: str | None) -> Settings:
    settings = Settings.load()
    if stack is None:
        return settings
    outputs = outputs_of(stack)
    if "AccessTable" not in outputs:
        raise TailraceError(f"The stack {stack!r} has no table of tokens yet; `make deploy STACK={stack}` makes it.")
    return replace(settings, log="dynamodb", access_table=outputs["AccessTable"])


async def run(arguments: argparse.Namespace, settings: Settings) -> str:
    """Do what the arguments say, and return what to print."""
    store = open_credentials(settings)
    try:
        if arguments.command == "new":
            return await make(store, arguments.name, arguments.scopes, arguments.days)
        return await (revoke(store, arguments.id) if arguments.command == "revoke" else listed(store))
    finally:
        await store.close()


def main() -> None:
    arguments = _parser().parse_args()
    try:
        print(asyncio.run(run(arguments, _settings(arguments.stack))))
    except TailraceError as error:
        sys.exit(f"tailrace: {error}")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"tailrace: {reason_of(error)}")


if __name__ == "__main__":
    main()
