"""While a function does not run, its callers get a 503 at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from local import supervisor
from local.functions import Function, listen
from local.packages import packages_folder
from local.stand_in import StandIn
from local.supervisor import Keeper


async def test_a_stand_in_answers_every_request_until_it_ends() -> None:
    with listen(0) as listener:
        url = Function("silent", listener).url
        stand_in = StandIn(listener)
        async with httpx.AsyncClient(timeout=60) as http:
            waiting = asyncio.create_task(http.get(url))
            await stand_in.begin("silent has not begun.")
            await stand_in.begin("silent does not run.")
            large = await http.post(url, content=bytes(1_000_000))
            for answer in (await waiting, large):
                assert (answer.status_code, answer.text) == (503, "silent does not run.\n")
        stand_in.end()
        taken = await asyncio.start_server(lambda _, writer: writer.close(), sock=listener.dup())
        async with taken, httpx.AsyncClient(timeout=60) as http:
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get(url)


class Hanging(Function):
    """A function that hangs at its import."""

    @property
    def arguments(self) -> tuple[str, ...]:
        return "-c", "import time; time.sleep(600)"


@asynccontextmanager
async def kept(function: Function, folder: Path, http: httpx.AsyncClient) -> AsyncIterator[Keeper]:
    """The function's keeper, at work."""
    keeper = Keeper(function, folder / f"{function.name}.log", {}, http)
    keeping = asyncio.create_task(keeper.keep())
    try:
        yield keeper
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await keeper.stop()


async def test_an_agent_whose_own_packages_are_installed_says_so_until_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "FUNCTIONS", tmp_path)
    monkeypatch.setattr(supervisor, "SLOW_S", 0.1)
    monkeypatch.setenv("TAILRACE_DATA_DIR", str(tmp_path / "data"))
    requirements = tmp_path / "hanging" / "requirements.txt"
    requirements.parent.mkdir()
    requirements.write_text("a-large-package\n")
    installs = "hanging installs functions/hanging/requirements.txt. This may take some minutes."
    with listen(0) as listener:
        hanging = Hanging("hanging", listener)
        async with httpx.AsyncClient(timeout=60) as http, kept(hanging, tmp_path, http) as keeper:
            await asyncio.wait_for(keeper.settled.wait(), 30)  # so the others do not wait for it
            refused = await http.get(hanging.url)
            assert (refused.status_code, refused.text) == (503, f"{installs}\n")
            packages_folder(requirements, tmp_path / "data").mkdir(parents=True)
            while "does not run" not in (await http.get(hanging.url)).text:
                await asyncio.sleep(0.01)
    told, then = capsys.readouterr().out.splitlines()
    assert told == installs
    assert then.startswith("hanging did not answer within 0.1 s;")


async def test_an_agent_that_hangs_at_startup_is_reported_and_refuses_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "SLOW_S", 0.1)
    with listen(0) as listener:
        hanging = Hanging("hanging", listener)
        async with httpx.AsyncClient(timeout=60) as http, kept(hanging, tmp_path, http) as keeper:
            await asyncio.wait_for(keeper.settled.wait(), 60)
            assert not keeper.up
            while (await http.get(hanging.url)).status_code != 503:
                await asyncio.sleep(0.01)
    assert capsys.readouterr().out == (
        f"hanging did not answer within 0.1 s; its log is {tmp_path / 'hanging.log'}. The rest goes on without it.\n"
    )
