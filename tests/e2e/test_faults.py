"""Faults that a user of the page causes with its buttons, and the costs that the page reports."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Route, expect

from tests.e2e.actions import answer, applied, go_on, last_seq, newest, open_work, pill, send, state
from tests.e2e.tampering import TamperingProxy, tampering
from tests.support.browser import let_in, needs_chromium
from tests.support.checkout import ANALYSTS, checkout
from tests.support.processes import Stack, stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

LOGS = "too many errors\n" + "".join(f"2026-01-01T10:00:0{second}Z ERROR disk full\n" for second in range(3))
# Longer than a busy machine makes a living worker wait.
SHORT_LEASES = {"TAILRACE_LEASE_S": "5", "TAILRACE_RENEW_S": "0.4"}
PAUSE_AT_SIFT = "stand still at sift:start"
# `window.said` gets each text of the place for faults: what it says until a takeover passes by.
NOTE_WHAT_IS_SAID = """() => {
    window.said = [];
    const faults = document.querySelector(".faults");
    const note = () => window.said.push(faults.innerText);
    new MutationObserver(note).observe(faults, { subtree: true, childList: true, characterData: true });
}"""

PLAYER = """
from tests.sample_agents.{sample} import builder
from tailrace import AgentApp, AgentCard, Skill

skill = Skill(id="s", name="Logs", description="Reads logs.", tags=["logs"])
app = AgentApp(builder, AgentCard(name="{name}", description="Plays {name}.", version="1", skills=[skill]))
"""


def cast(folder: Path, **samples: str) -> Path:
    """Make a checkout in which sample agents play functions, without other analysts. Returns its folder."""
    players = {name: PLAYER.format(name=name, sample=sample) for name, sample in samples.items()}
    return checkout(folder, ANALYSTS, **players)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def pausing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A worker that pauses at `sift`."""
    folder = tmp_path_factory.mktemp("pausing")
    async with stack(folder / "data", cast(folder / "cast", orchestrator="killable"), **SHORT_LEASES) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def pausing_specialist(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The shipped orchestrator, with a specialist that pauses at `sift`."""
    folder = tmp_path_factory.mktemp("pausing_specialist")
    async with stack(folder / "data", cast(folder / "cast", log_analyst="killable"), **SHORT_LEASES) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(slow_stack: Stack) -> AsyncIterator[TamperingProxy]:
    async with tampering(slow_stack) as proxy:
        yield proxy


def rows(page: Page, name: str) -> Locator:
    """The rows of the newest turn's timeline with exactly this name."""
    return newest(page, "timeline").locator(".tl-row").filter(has=page.get_by_text(name, exact=True))


def cost(page: Page) -> Locator:
    """Where the page reports what the faults cost."""
    return page.locator(".faults [role=status]")


async def was_said(page: Page, pattern: str) -> None:
    """Wait until the place for faults says this, or has said it since `NOTE_WHAT_IS_SAID`."""
    await page.wait_for_function("pattern => said.some((text) => new RegExp(pattern).test(text))", arg=pattern)


async def click(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name).click()


@contextlib.asynccontextmanager
async def no_stream_opens(page: Page) -> AsyncIterator[None]:
    """Hold what would open a stream on the page until the block ends: a cut lasts as long as the test needs."""
    released = asyncio.Event()

    async def hold(route: Route) -> None:
        await released.wait()
        await route.continue_()

    await page.route("**/api/stream/*", hold)
    try:
        yield
    finally:
        released.set()


async def ended(page: Page, stack: Stack, task: str) -> None:
    """Read a task's events outside of the page, until its stream ends."""
    await page.request.get(f"{stack.url}/api/stream/{task}")


async def counts(page: Page, about: str) -> tuple[int, int, int]:
    """The recovered, lost and repeated events that the page reports in the line that begins with `about`."""
    line = about + r".* ([\d,]+) recovered, ([\d,]+) lost, ([\d,]+) repeated\."
    found = await page.wait_for_function(
        "line => document.querySelector('.faults [role=status]')?.innerText.match(line)?.slice(1)", arg=line
    )
    recovered, lost, repeated = (int(number.replace(",", "")) for number in await found.json_value())
    return recovered, lost, repeated


async def test_a_killed_worker_costs_a_wait_and_its_superseded_steps_are_hidden(page: Page, pausing: Stack) -> None:
    (pausing.folder / PAUSE_AT_SIFT).touch()
    await send(page, pausing.url, "go")
    await expect(rows(page, "sift")).to_be_visible()
    killed = await pausing.pid_of("orchestrator")
    await page.evaluate(NOTE_WHAT_IS_SAID)
    await click(page, "Kill the worker")
    await was_said(page, f"orchestrator, process {killed}, was killed\\.")
    await was_said(page, r"takeover in [\d.]+ s|the lease has run out")
    await expect(cost(page)).to_contain_text(re.compile(r"Worker killed: attempt 2 took over after [\d.]+ s"))
    await expect(cost(page)).to_contain_text(re.compile(r"Kept: [1-9]\d* finished steps.*, \d+ steps? runs? again\."))
    await expect(page.locator(".faults-wait")).to_be_hidden()
    (pausing.folder / PAUSE_AT_SIFT).unlink()
    await state(page, "completed")
    await expect(page.get_by_test_id("task-state")).to_have_text("completed · attempt 2")
    timeline = await open_work(page)
    await expect(timeline).to_contain_text("worker lost, attempt 2")
    recovered, lost, repeated = await counts(page, "Worker killed")
    assert recovered > 10
    assert (lost, repeated) == (0, 0)
    words = (await answer(page).inner_text()).replace("<", " ").replace(">", " ").split()
    nodes = ("gather", "left", "right", "dig", "sift", "one", "two", "three", "tell")
    assert Counter(words) == {**dict.fromkeys(nodes, 2), "look": 1}

    superseded = timeline.locator(".is-superseded")
    (number,) = re.findall(r"\d+", await page.get_by_role("button", name="superseded").inner_text())
    assert int(number) > 0
    await expect(superseded).to_have_count(int(number))
    await expect(rows(page, "sift").locator("visible=true")).to_have_count(1)
    await click(page, "superseded")
    await expect(rows(page, "sift").locator("visible=true")).to_have_count(2)
    await expect(rows(page, "gather")).to_have_count(1)


async def test_a_lost_orchestrator_goes_on_with_the_specialist_it_asked(page: Page, pausing_specialist: Stack) -> None:
    (pausing_specialist.folder / PAUSE_AT_SIFT).touch()
    await send(page, pausing_specialist.url, LOGS)
    await expect(rows(page, "sift")).to_be_visible()
    await pausing_specialist.kill("orchestrator")
    await expect(rows(page, "worker lost, attempt 2")).to_have_count(1)
    (pausing_specialist.folder / PAUSE_AT_SIFT).unlink()
    await state(page, "completed")
    await expect(page.get_by_test_id("task-state")).to_have_text("completed · attempt 2")
    timeline = await open_work(page)
    for name in ("plan", "ask", "ask log_analyst", "gather", "sift", "tell", "answer"):
        await expect(rows(page, name)).to_have_count(1)
    await expect(timeline.locator(".is-running")).to_have_count(0)
    await expect(page.get_by_role("heading", name="What happened")).to_have_count(1)


async def test_a_lost_specialist_is_shown_below_the_agent_that_asked_it_and_is_no_attempt_of_the_task(
    page: Page, pausing_specialist: Stack
) -> None:
    (pausing_specialist.folder / PAUSE_AT_SIFT).touch()
    await send(page, pausing_specialist.url, LOGS)
    await expect(rows(page, "sift")).to_be_visible()
    await pausing_specialist.kill("log_analyst")
    await expect(rows(page, "worker lost, attempt 2")).to_have_attribute("aria-level", "4")
    (pausing_specialist.folder / PAUSE_AT_SIFT).unlink()
    await state(page, "completed")
    await expect(page.get_by_test_id("task-state")).to_have_text("completed")
    await open_work(page)
    await expect(rows(page, "sift").locator("visible=true")).to_have_count(1)
    await expect(page.get_by_role("button", name="superseded")).to_be_visible()


async def test_hand_offs_are_rows_of_their_own_and_supersede_nothing(page: Page, tmp_path: Path) -> None:
    # Each attempt works for 0.05 s and then has time to stop.
    limits = {"TAILRACE_ATTEMPT_S": "60.05", "TAILRACE_HANDOFF_S": "60"}
    async with stack(tmp_path / "data", cast(tmp_path / "cast", orchestrator="many_steps"), **limits) as started:
        await let_in(page.context)
        await send(page, started.url, "30 steps, 5 ms each")
        await state(page, "completed")
        timeline = await open_work(page)
        await expect(rows(page, "hand-off").first).to_be_attached()
        await expect(page.get_by_test_id("task-state")).to_contain_text("attempt")
        await expect(timeline).not_to_contain_text("lost")
        await expect(timeline.locator(".is-superseded")).to_have_count(0)
        assert (await answer(page).inner_text()).split() == [str(n) for n in range(1, 31)]


async def test_a_dropped_connection_comes_back_with_the_events_it_missed(page: Page, slow_stack: Stack) -> None:
    task = await send(page, slow_stack.url, "80 events, 1 ms apart, 25 before drop")
    await expect(answer(page)).to_contain_text("step 20")
    async with no_stream_opens(page):
        await click(page, "Drop my connection")
        go_on(slow_stack, "drop")
        await ended(page, slow_stack, task)
        await pill(page, "reconnecting")
    recovered, lost, repeated = await counts(page, "Connection dropped for")
    assert recovered > 0
    assert (lost, repeated) == (0, 0)
    await state(page, "completed")
    counts_of_page = await applied(page)
    assert counts_of_page["count"] == counts_of_page["last"]
    assert counts_of_page["recovered"] == recovered


async def test_a_second_viewer_reads_everything_and_shows_the_same(page: Page, slow_stack: Stack) -> None:
    task = await send(page, slow_stack.url, "40 events, 5 ms apart, 25 before viewer")
    await expect(answer(page)).to_contain_text("step 20")
    await click(page, "Open a second viewer")
    recovered, lost, repeated = await counts(page, "Second viewer")
    assert recovered > 20
    assert (lost, repeated) == (0, 0)
    async with slow_stack.client() as http:
        streams = (await http.get("/api/streams")).json()["streams"]
    assert [stream["taskId"] for stream in streams].count(task) == 2
    go_on(slow_stack, "viewer")
    await state(page, "completed")
    last = await last_seq(page)
    await expect(cost(page)).to_contain_text(f"Both show the same at seq {last}.")
    rows_of_first = (await open_work(page)).locator(".tl-row")
    await expect(page.locator(".second .tl-row")).to_have_count(await rows_of_first.count())
    await click(page, "Close the second viewer")
    await expect(page.get_by_role("region", name="Second viewer")).to_have_count(0)


async def test_lost_and_repeated_events_are_counted(page: Page, slow_stack: Stack, proxy: TamperingProxy) -> None:
    def copies(cursor: int, seq: int) -> int:
        """A stream with a cursor leaves out its first two events and repeats the third."""
        return {1: 0, 2: 0, 3: 2}.get(seq - cursor, 1) if cursor else 1

    proxy.copies = copies
    task = await send(page, proxy.url, "80 events, 1 ms apart, 25 before losses")
    await expect(answer(page)).to_contain_text("step 20")
    async with no_stream_opens(page):
        await click(page, "Drop my connection")
        go_on(slow_stack, "losses")
        await ended(page, slow_stack, task)
    recovered, lost, repeated = await counts(page, "Connection dropped for")
    assert recovered > 0
    assert (lost, repeated) == (2, 1)
    await expect(page.get_by_test_id("stream-note")).to_be_empty()


async def test_a_second_viewer_that_misses_an_event_shows_something_else(page: Page, proxy: TamperingProxy) -> None:
    await send(page, proxy.url, "20 events, 1 ms apart")
    await state(page, "completed")
    last = await last_seq(page)
    proxy.copies = lambda cursor, seq: 0 if seq == last - 2 else 2 if seq == 1 else 1
    await click(page, "Open a second viewer")
    assert await counts(page, "Second viewer") == (last - 1, 1, 1)
    await expect(cost(page)).to_contain_text(f"They show different things at seq {last}.")


async def test_a_worker_that_make_run_did_not_start_is_not_killed(page: Page, slow_stack: Stack) -> None:
    await send(page, slow_stack.url, "10 events, 1 ms apart, 5 before alive")
    await click(page, "Kill the worker")
    await expect(cost(page)).to_contain_text(re.compile(r"No worker was killed\. Process \d+ runs the task"))
    go_on(slow_stack, "alive")
    await state(page, "completed")
    await expect(page.get_by_test_id("task-state")).to_have_text("completed")


async def test_a_finished_run_is_run_again_to_be_broken(page: Page, pausing: Stack) -> None:
    await send(page, pausing.url, "go")
    await state(page, "completed")
    first = page.url
    (pausing.folder / PAUSE_AT_SIFT).touch()
    await page.evaluate(NOTE_WHAT_IS_SAID)
    await click(page, "Run again, kill the worker")
    await expect(page).not_to_have_url(first)
    await was_said(page, "was killed")
    (pausing.folder / PAUSE_AT_SIFT).unlink()
    await state(page, "completed")
    assert (await counts(page, "Worker killed: attempt 2 took over"))[1:] == (0, 0)
    await expect(page.get_by_test_id("title")).to_have_text("go")


async def test_the_buttons_work_with_the_keyboard_and_on_narrow_pages(page: Page, slow_stack: Stack) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await send(page, slow_stack.url, "10 events, 1 ms apart, 5 before keys")
    await expect(page.get_by_role("button", name="Drop my connection")).to_be_hidden()  # a phone has little room
    await page.get_by_role("button", name="Break it").press("Enter")
    await expect(page.get_by_role("button", name="Drop my connection")).to_be_visible()
    for _ in range(3):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await counts(page, "Second viewer")
    await expect(page.get_by_role("button", name="Close the second viewer")).to_be_focused()
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    go_on(slow_stack, "keys")
