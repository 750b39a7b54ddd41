"""examples/react_chat: the AI SDK's chat in a page of React, with an agent whose process is killed."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from gateway.app import create_app
from gateway.owner import local_owner
from tailrace.config import Settings
from tests.sample_agents.chatting import SLOW
from tests.support.browser import needs_chromium
from tests.support.http import serve
from tests.support.react_chat import build
from tests.support.restarting_agent import restarting_agent

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_a_page_of_the_ai_sdk_survives_a_reload_and_a_killed_worker(page: Page, tmp_path: Path) -> None:
    built = tmp_path / "page"
    built.mkdir()
    await asyncio.to_thread(build, built)
    async with restarting_agent(tmp_path, "chatting") as agent:
        settings = Settings(data_dir=str(tmp_path), orchestrator="chatting", orchestrator_url=agent.url)
        app = create_app(settings, decide_owner=local_owner)
        app.router.routes.append(Mount("/", StaticFiles(directory=built, html=True)))
        async with serve(app) as url:
            await page.goto(url)
            said, tools, status = (
                page.locator(".assistant > p:not(.tool)"),
                page.locator(".tool"),
                page.get_by_role("status"),
            )

            async def send(text: str) -> None:
                await expect(status).to_have_text("ready")
                await page.get_by_label("Message").fill(text)
                await page.keyboard.press("Enter")

            await send("hello")
            await expect(said.last).to_have_text("You said hello, message 1.")
            await send("look mill")
            await expect(tools.last).to_contain_text('look_up {"word":"mill"}: output-available')
            await send("mail bob")
            await page.get_by_role("button", name="Approve").click()
            await expect(said.last).to_have_text("The tool has answered: sent to bob")
            await expect(tools.last).to_contain_text('send_mail {"to":"bob"}: output-available')

            await send("ask")
            await expect(said.last).to_contain_text("Which colour?")
            await send("red")
            await expect(said.last).to_have_text("The tool has answered: the user says red")

            await send("slow")
            await expect(said.last).to_have_text("It flows")
            await page.reload()
            await expect(status).to_have_text("streaming")
            await expect(said.last).to_have_text("It flows")
            agent.signal(signal.SIGKILL)
            (tmp_path / "go").touch()
            await expect(said.last).to_have_text(SLOW)
            await expect(status).to_have_text("ready")
            chat = page.locator("main")
            shown = await chat.inner_text()
            await page.reload()
            await expect(chat).to_have_text(shown, use_inner_text=True)
            await expect(status).to_have_text("ready")
            assert agent.deaths == 1
