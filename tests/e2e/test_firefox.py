"""The page in Debian's Firefox, which puppeteer drives over WebDriver BiDi; playwright needs a Firefox of its own."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from local.address import new_address_of
from tailrace.config import Settings
from tests.interop.cached import node_with
from tests.interop.steps import steps_of
from tests.support.processes import ROOT, Stack

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(FIREFOX is None, reason="install Firefox to test the page in it (package: firefox-esr)"),
]


async def test_the_sample_and_a_conversation_in_firefox(assistant: Stack) -> None:
    node, folder = await asyncio.to_thread(node_with, ROOT / "tests" / "e2e" / "firefox")
    assert FIREFOX is not None
    address = await new_address_of(Settings(data_dir=str(assistant.folder)), assistant.url)
    steps = await steps_of(node, "flows.mjs", address, FIREFOX, on_step=lambda _: None, cwd=folder)
    assert list(steps) == ["report", "downloaded", "answered", "question answered", "stopped", "reloaded"]
    assert steps["report"]["findings"] > 3
    assert steps["downloaded"]["isReport"]
    assert str(steps["downloaded"]["name"]).endswith(".md")
    assert steps["reloaded"] == {"turns": 3, "fits": True, "errors": []}
