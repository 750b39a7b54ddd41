"""What is broken while somebody looks, and what the page says it cost: counted, never assumed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from actions import applied, pill, send, state
from browser import needs_chromium
from doctoring import Doctor, doctoring
from playwright.async_api import Locator, Page, expect
from stack import ROOT, Stack, agent, stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_chromium]

LOGS = "too many errors\n" + "".join(f"2026-01-01T10:00:0{second}Z ERROR disk full\n" for second in range(3))
SOON = {"TAILRACE_LEASE_S": "2", "TAILRACE_RENEW_S": "0.4"}
HELD = "stand still at sift:start"

PLAYER = """
from sample_agents.{sample} import builder
from tailrace import AgentApp, AgentCard, Skill

skill = Skill(id="s", name="Logs", description="Reads logs.", tags=["logs"])
app = AgentApp(builder, AgentCard(name="{name}", description="Plays {name}.", version="1", skills=[skill]))
"""


def cast(folder: Path, **samples: str) -> dict[str, str]:
    """The variables for a stack in which sample agents play functions."""
    for name, sample in samples.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
        (folder / name / "handler.py").write_text(PLAYER.format(name=name, sample=sample))
    return {"PYTHONPATH": f"{folder}:{ROOT / 'tests'}"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def mortal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A worker that stands still where it is told to."""
    folder = tmp_path_factory.mktemp("mortal")
    async with stack(folder / "data", **cast(folder / "cast", orchestrator="mortal"), **SOON) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def asking(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The orchestrator that ships, and a specialist that stands still where it is told to."""
    folder = tmp_path_factory.mktemp("asking")
    async with stack(folder / "data", **cast(folder / "cast", log_analyst="mortal"), **SOON) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def paced(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """An orchestrator that takes as long as it is told to, and that `make run` did not start."""
    folder = tmp_path_factory.mktemp("paced")
    async with agent(folder, "paced") as url, stack(folder, TAILRACE_ORCHESTRATOR_URL=url) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def doctor(paced: Stack) -> AsyncIterator[Doctor]:
    async with doctoring(paced.url) as started:
        yield started


def rows(page: Page, name: str) -> Locator:
    """The rows of the timeline that have exactly this name."""
    return page.locator("#timeline .tl-row").filter(has=page.get_by_text(name, exact=True))


def cost(page: Page) -> Locator:
    return page.locator(".faults [role=status]")


async def click(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name).click()


async def counts(page: Page, about: str) -> tuple[int, int, int]:
    """Recovered, lost and repeated, as the page says of what `about` names."""
    line = re.compile(about + r".* ([\d,]+) recovered, ([\d,]+) lost, ([\d,]+) repeated\.")
    await expect(cost(page)).to_contain_text(line)
    found = line.search(await cost(page).inner_text())
    assert found is not None
    recovered, lost, repeated = (int(number.replace(",", "")) for number in found.groups())
    return recovered, lost, repeated


async def test_a_killed_worker_costs_a_wait_and_its_dead_steps_are_folded(page: Page, mortal: Stack) -> None:
    (mortal.folder / HELD).touch()
    await send(page, mortal.url, "go")
    await expect(rows(page, "sift")).to_be_visible()
    killed = await mortal.pid_of("orchestrator")
    await click(page, "Kill the worker")
    await expect(cost(page)).to_contain_text(f"orchestrator, process {killed}, was killed.")
    await expect(cost(page)).to_contain_text(re.compile(r"Worker killed: attempt 2 took over after [\d.]+ s"))
    (mortal.folder / HELD).unlink()
    await state(page, "completed")
    await expect(page.get_by_test_id("task-state")).to_have_text("completed · attempt 2")
    await expect(page.get_by_test_id("timeline")).to_contain_text("worker lost, attempt 2")
    recovered, lost, repeated = await counts(page, "Worker killed")
    assert recovered > 10
    assert (lost, repeated) == (0, 0)
    words = (await page.get_by_test_id("report").inner_text()).replace("<", " ").replace(">", " ").split()
    assert Counter(words) == {**dict.fromkeys(("gather", "left", "right", "dig", "sift", "tell"), 2), "look": 1}

    dead = page.locator("#timeline .is-superseded")
    (number,) = re.findall(r"\d+", await page.get_by_role("button", name="superseded").inner_text())
    assert await dead.count() == int(number) > 0
    await expect(rows(page, "sift").locator("visible=true")).to_have_count(1)
    await click(page, "superseded")
    await expect(rows(page, "sift").locator("visible=true")).to_have_count(2)
    await expect(rows(page, "gather")).to_have_count(1)


async def test_a_lost_orchestrator_goes_on_with_the_specialist_it_asked(page: Page, asking: Stack) -> None:
    (asking.folder / HELD).touch()
    await send(page, asking.url, LOGS)
    await expect(rows(page, "sift")).to_be_visible()
    await asking.kill("orchestrator")
    await expect(rows(page, "worker lost, attempt 2")).to_have_count(1)
    (asking.folder / HELD).unlink()
    await state(page, "completed")
    await expect(page.get_by_test_id("task-state")).to_have_text("completed · attempt 2")
    for name in ("plan", "ask", "ask log_analyst", "gather", "sift", "tell", "report"):
        await expect(rows(page, name)).to_have_count(1)
    await expect(page.locator("#timeline .is-running")).to_have_count(0)
    await expect(page.get_by_role("heading", name="What happened")).to_have_count(1)


async def test_a_lost_specialist_is_told_below_who_asked_and_is_no_attempt_of_the_task(
    page: Page, asking: Stack
) -> None:
    (asking.folder / HELD).touch()
    await send(page, asking.url, LOGS)
    await expect(rows(page, "sift")).to_be_visible()
    await asking.kill("log_analyst")
    await expect(rows(page, "worker lost, attempt 2")).to_have_attribute("aria-level", "4")
    (asking.folder / HELD).unlink()
    await state(page, "completed")
    await expect(page.get_by_test_id("task-state")).to_have_text("completed")
    await expect(rows(page, "sift").locator("visible=true")).to_have_count(1)
    await expect(page.get_by_role("button", name="superseded")).to_be_visible()


async def test_hand_offs_are_said_quietly_and_leave_nothing_dead(page: Page, tmp_path: Path) -> None:
    # 0.05 s of work an attempt, and time to stop.
    variables = {**cast(tmp_path / "cast", orchestrator="marathon"), "TAILRACE_HANDOFF_S": "1.5"}
    async with stack(tmp_path / "data", **variables, TAILRACE_ATTEMPT_S="1.55") as started:
        await send(page, started.url, "30 steps, 5 ms each")
        await state(page, "completed")
        assert await rows(page, "hand-off").count() >= 1
        await expect(page.get_by_test_id("task-state")).to_contain_text("attempt")
        await expect(page.get_by_test_id("timeline")).not_to_contain_text("lost")
        await expect(page.locator("#timeline .is-superseded")).to_have_count(0)
        assert (await page.get_by_test_id("report").inner_text()).split() == [str(n) for n in range(1, 31)]


async def test_a_dropped_connection_comes_back_with_what_it_missed(page: Page, paced: Stack) -> None:
    await send(page, paced.url, "300 events, 20 ms apart")
    await expect(page.get_by_test_id("report")).to_contain_text("step 20")
    await click(page, "Drop my connection")
    await pill(page, "reconnecting")
    recovered, lost, repeated = await counts(page, "Connection dropped for")
    assert recovered > 0
    assert (lost, repeated) == (0, 0)
    await state(page, "completed")
    counted = await applied(page)
    assert counted["count"] == counted["last"]
    assert counted["recovered"] == recovered


async def test_a_second_viewer_reads_all_of_it_and_shows_the_same(page: Page, paced: Stack) -> None:
    task = await send(page, paced.url, "200 events, 20 ms apart")
    await expect(page.get_by_test_id("report")).to_contain_text("step 20")
    await click(page, "Open a second viewer")
    recovered, lost, repeated = await counts(page, "Second viewer")
    assert recovered > 20
    assert (lost, repeated) == (0, 0)
    async with httpx.AsyncClient(base_url=paced.url) as http:
        streams = (await http.get("/api/streams")).json()["streams"]
    assert [stream["taskId"] for stream in streams].count(task) == 2
    await state(page, "completed")
    last = await page.get_by_test_id("last-seq").inner_text()
    await expect(cost(page)).to_contain_text(f"Both show the same at seq {last}.")
    await expect(page.locator(".second .tl-row")).to_have_count(await page.locator("#timeline .tl-row").count())
    await click(page, "Close the second viewer")
    await expect(page.get_by_role("region", name="Second viewer")).to_have_count(0)


async def test_what_was_lost_or_came_twice_is_counted_as_such(page: Page, doctor: Doctor) -> None:
    def times(cursor: int, seq: int) -> int:
        """Who comes back misses two events, each time, and gets the third twice."""
        return {1: 0, 2: 0, 3: 2}.get(seq - cursor, 1) if cursor else 1

    doctor.times = times
    await send(page, doctor.url, "300 events, 20 ms apart")
    await expect(page.get_by_test_id("report")).to_contain_text("step 20")
    await click(page, "Drop my connection")
    recovered, lost, repeated = await counts(page, "Connection dropped for")
    assert recovered > 0
    assert (lost, repeated) == (2, 1)
    await expect(page.locator("#stream-note")).to_be_empty()


async def test_a_second_viewer_that_was_told_less_shows_something_else(page: Page, doctor: Doctor) -> None:
    await send(page, doctor.url, "20 events, 1 ms apart")
    await state(page, "completed")
    last = int(await page.get_by_test_id("last-seq").inner_text())
    doctor.times = lambda cursor, seq: 0 if seq == last - 2 else 2 if seq == 1 else 1
    await click(page, "Open a second viewer")
    assert await counts(page, "Second viewer") == (last - 1, 1, 1)
    await expect(cost(page)).to_contain_text(f"They show different things at seq {last}.")


async def test_a_worker_that_make_run_did_not_start_is_not_killed(page: Page, paced: Stack) -> None:
    await send(page, paced.url, "60 events, 20 ms apart")
    await click(page, "Kill the worker")
    await expect(cost(page)).to_contain_text(re.compile(r"Nobody was killed\. Process \d+ runs the task"))
    await state(page, "completed")
    await expect(page.get_by_test_id("task-state")).to_have_text("completed")


async def test_a_run_that_is_over_is_run_again_to_be_broken(page: Page, mortal: Stack) -> None:
    first = await send(page, mortal.url, "go")
    await state(page, "completed")
    (mortal.folder / HELD).touch()
    await click(page, "Run again, kill the worker")
    await expect(page).not_to_have_url(re.compile(first))
    await expect(cost(page)).to_contain_text("was killed")
    (mortal.folder / HELD).unlink()
    await state(page, "completed")
    assert (await counts(page, "Worker killed: attempt 2 took over"))[1:] == (0, 0)
    await expect(page.locator("#task-title")).to_have_text("go")


async def test_the_buttons_are_for_keys_and_narrow_pages_too(page: Page, paced: Stack) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await send(page, paced.url, "100 events, 20 ms apart")
    await page.get_by_role("button", name="Drop my connection").focus()
    for _ in range(2):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await counts(page, "Second viewer")
    await expect(page.get_by_role("button", name="Close the second viewer")).to_be_focused()
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
