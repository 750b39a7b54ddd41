"""ListTasks (specification, section 3.1.4), with each log."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.a2a.server import listing
from tailrace.a2a.types import ListTasks, convert
from tailrace.errors import RequestError
from tailrace.log.sqlite import SQLiteLog
from tests.sample_agents.hello_world import TEXT, hello_world
from tests.support import in_process
from tests.support.conditions import eventually
from tests.support.events import message
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent

DONE, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED"


@pytest.fixture(params=["memory", "sqlite"], autouse=True)
def _log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "HEADS_PER_READ", 3)  # so that a few tasks need several reads
    if request.param == "sqlite":
        monkeypatch.setattr(in_process, "new_log", lambda: SQLiteLog(tmp_path / "log.sqlite3"))


async def create_tasks(served: Agent, number: int, text: str = "hello", **fields: Any) -> list[str]:
    """Create tasks one after the other; return their ids once no task is leased any more."""
    ids = []
    for _ in range(number):
        task = (await served.result("SendMessage", {"message": message(text, **fields)}))["task"]
        ids.append(task["id"])
        await unleased(served, task["id"])
    return ids


async def unleased(served: Agent, task_id: str) -> None:
    """Wait until nobody holds the task's lease."""

    async def is_unleased() -> bool:
        return (await served.log.head(task_id)).lease_owner is None

    await eventually(is_unleased)


async def listed(served: Agent, **params: Any) -> dict[str, Any]:
    return dict(await served.result("ListTasks", params))


def ids(page: dict[str, Any]) -> list[str]:
    return [task["id"] for task in page["tasks"]]


async def test_3_1_4_an_empty_list_has_all_fields() -> None:
    async with agent(hello_world()) as served:
        assert await listed(served) == {"tasks": [], "nextPageToken": "", "pageSize": 50, "totalSize": 0}


async def test_3_1_4_the_most_recently_changed_task_is_first() -> None:
    async with agent(hello_world()) as served:
        (waiting,) = await create_tasks(served, 1, "ask")
        others = await create_tasks(served, 3)
        assert ids(await listed(served)) == [*reversed(others), waiting]
        await served.result("SendMessage", {"message": message("payments", taskId=waiting)})
        await unleased(served, waiting)
        page = await listed(served)
    assert ids(page) == [waiting, *reversed(others)]
    times = [task["status"]["timestamp"] for task in page["tasks"]]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 100])
async def test_3_1_4_pages_are_full_and_list_every_task_once(size: int) -> None:
    async with agent(hello_world()) as served:
        everything = list(reversed(await create_tasks(served, 7)))
        pages, token = [], ""
        while True:
            page = await listed(served, pageSize=size, pageToken=token)
            assert (page["pageSize"], page["totalSize"]) == (size, 7)
            pages.append(ids(page))
            if not (token := page["nextPageToken"]):
                break
        assert [each for page in pages for each in page] == everything
        assert all(len(page) == size for page in pages[:-1])
        assert pages[-1], "no page is empty"


async def test_3_1_4_a_task_that_changes_between_pages_is_not_listed_twice() -> None:
    async with agent(hello_world()) as served:
        (waiting,) = await create_tasks(served, 1, "ask")
        others = await create_tasks(served, 3)
        first = await listed(served, pageSize=2)
        await served.result("SendMessage", {"message": message("payments", taskId=waiting)})
        second = await listed(served, pageSize=2, pageToken=first["nextPageToken"])
    assert ids(first) + ids(second) in ([*reversed(others)], [*reversed(others), waiting])


async def test_3_1_4_filters_narrow_the_list_and_its_total_size() -> None:
    async with agent(hello_world(), options={"thread": "task"}) as served:
        mine = await create_tasks(served, 4, contextId="mine")
        waiting = await create_tasks(served, 2, "ask", contextId="mine")
        await create_tasks(served, 3, contextId="other")
        for query, expected in (
            ({"contextId": "mine"}, [*mine, *waiting]),
            ({"contextId": "mine", "status": DONE}, mine),
            ({"status": ASKED}, waiting),
            ({"contextId": "nobody's"}, []),
            ({"status": "TASK_STATE_WORKING"}, []),
            ({"contextId": "mine", "status": "TASK_STATE_UNSPECIFIED"}, [*mine, *waiting]),
        ):
            page = await listed(served, **query, pageSize=3)
            assert ids(page) == list(reversed(expected))[:3]
            assert page["totalSize"] == len(expected)
            assert bool(page["nextPageToken"]) == (len(expected) > 3)


async def test_3_1_4_status_timestamp_after_is_inclusive() -> None:
    async with agent(hello_world()) as served:
        tasks = await create_tasks(served, 3)
        page = await listed(served)
        middle = page["tasks"][1]["status"]["timestamp"]
        listed_ids = ids(await listed(served, statusTimestampAfter=middle))
        assert set(listed_ids) >= set(tasks[1:])
        assert listed_ids == ids(page)[: len(listed_ids)]
        moment = datetime.datetime.fromisoformat(page["tasks"][0]["status"]["timestamp"])
        later = (moment + datetime.timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")
        assert ids(await listed(served, statusTimestampAfter=later)) == []


async def test_3_1_4_artifacts_and_history_are_included_on_request() -> None:
    async with agent(hello_world()) as served:
        await create_tasks(served, 1, "ask")
        await create_tasks(served, 1)
        for page in (await listed(served), await listed(served, historyLength=0, includeArtifacts=False)):
            for task in page["tasks"]:
                assert task.keys() == {"id", "contextId", "status", "metadata"}
        done, waiting = (await listed(served, includeArtifacts=True))["tasks"]
        assert done["artifacts"][0]["parts"] == waiting["artifacts"][0]["parts"] == [{"text": TEXT}]
        assert "history" not in done
        done, waiting = (await listed(served, historyLength=1))["tasks"]
        assert [len(task["history"]) for task in (done, waiting)] == [1, 1]
        assert waiting["status"]["message"]["parts"][0] == {"text": "Which service?"}
        assert "artifacts" not in done


async def test_13_1_only_the_callers_own_tasks_are_listed() -> None:
    async with agent(hello_world()) as served:
        await create_tasks(served, 2)
        other = {"x_tailrace_owner": "mallory"}
        assert (await served.result("ListTasks", {}, **other))["totalSize"] == 0


@pytest.mark.parametrize("token", ["x", "1", "000000000000001", "000000000000001/", "-1/x", "/x"])
async def test_a_forged_page_token_is_refused(token: str) -> None:
    async with agent(hello_world()) as served:
        assert (await served.error("ListTasks", {"pageToken": token}))["code"] == -32602


@given(st.datetimes(timezones=st.just(datetime.UTC)))
def test_5_6_1_every_valid_timestamp_is_parsed(time: datetime.datetime) -> None:
    for text in (time.isoformat().replace("+00:00", "Z"), time.isoformat()):
        since = convert({"statusTimestampAfter": text}, ListTasks).since_us
        assert since is not None
        assert datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(microseconds=since) == time


@given(st.text())
def test_any_text_is_parsed_as_a_timestamp_or_refused(text: str) -> None:
    with contextlib.suppress(RequestError):
        convert({"statusTimestampAfter": text}, ListTasks)


@pytest.mark.parametrize("text", ["2026-11-22T10:30:00", "2026-11-22", "noon", "1763807400"])
def test_5_6_1_a_timestamp_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="statusTimestampAfter"):
        convert({"statusTimestampAfter": text}, ListTasks)
