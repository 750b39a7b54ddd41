"""Push notifications: what a webhook gets, and which addresses are refused (specification, 4.3 and 13.2)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailrace.log.sqlite import SQLiteLog
from tailrace.network import resolver
from tailrace.push import delivery
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message, metadata, state_of
from tests.support.in_process import agent
from tests.support.webhook_receiver import ASKED, DONE, deliveries_have_ended, receiver, sending, told

CANCELED = "TASK_STATE_CANCELED"
CREATE, GET = "CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig"
LIST, DELETE = "ListTaskPushNotificationConfigs", "DeleteTaskPushNotificationConfig"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a pause."""
    monkeypatch.setattr(delivery, "PAUSE_S", 0.001)


# 3.1.7, 4.3.3


async def test_4_3_3_every_event_is_delivered_once_in_order_as_a_stream_response() -> None:
    async with receiver() as hook, agent(hello_world(), push_internal=1) as served:
        params = sending("hello", hook, token="t-1", authentication={"scheme": "Bearer", "credentials": "s3cret"})
        task = (await served.result("SendMessage", params))["task"]
        await told(served, task["id"], hook)
    assert state_of(hook.got[0]) == "TASK_STATE_SUBMITTED"
    for headers in hook.headers:
        assert (headers["content-type"], headers["a2a-version"]) == ("application/a2a+json", "1.0")
        assert headers["authorization"] == "Bearer s3cret"
        assert headers["x-a2a-notification-token"] == "t-1"
        assert headers["host"] == hook.url.removeprefix("http://")
    assert set(hook.paths) == {"/hook"}


async def test_a_new_task_is_not_looked_up_for_webhooks_and_a_known_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    monkeypatch.setattr(delivery.Deliveries, "ensure_delivery", lambda deliveries, task_id: looked_up.append(task_id))
    async with agent(hello_world()) as served:
        params = {"message": message("hello", messageId="m")}
        task_id = (await served.result("SendMessage", params))["task"]["id"]
        assert looked_up == []
        await served.result("SendMessage", params)  # the same message again
        await served.result("GetTask", {"id": task_id})
        assert looked_up == [task_id, task_id]


async def test_3_1_7_a_config_created_later_gets_the_events_after_it() -> None:
    gate = asyncio.Event()
    async with receiver() as hook, agent(hello_world(gate), push_internal=1) as served:
        task = await served.begin("slow")
        seen = await served.until(task["id"], lambda frame: metadata(frame.result).get("kind") == "progress")
        config = await served.result(CREATE, {"taskId": task["id"], "url": hook.url, "id": "mine"})
        assert config == {"taskId": task["id"], "url": hook.url, "id": "mine"}
        first = (await served.events(task["id"]))[-1]
        gate.set()
        events = await served.finished(task["id"])
        await hook.ended()
    assert hook.got == events[-len(hook.got) :]
    assert metadata(hook.got[0])["seq"] > metadata(first)["seq"] - len(seen)


async def test_3_2_2_a_config_in_a_streaming_request_or_a_reply_is_used() -> None:
    async with receiver() as first, receiver() as second, agent(hello_world(), push_internal=1) as served:
        frames = await served.frames("SendStreamingMessage", sending("ask", first))
        task_id = frames[0].result["task"]["id"]
        await first.ended(ASKED)
        before = len(await served.events(task_id))
        reply = sending("payments", second)
        reply["message"]["taskId"] = task_id
        await served.result("SendMessage", reply)
        await told(served, task_id, first)
        await second.ended()
        events = await served.events(task_id)
    assert second.got == events[before:]


async def test_the_last_event_of_a_canceled_task_is_delivered() -> None:
    async with receiver() as hook, agent(hello_world(), push_internal=1) as served:
        task = (await served.result("SendMessage", sending("ask", hook)))["task"]
        await served.result("CancelTask", {"id": task["id"]})
        await told(served, task["id"], hook, CANCELED)


# Failures


async def test_a_notification_is_retried_until_acknowledged_before_the_next_one() -> None:
    async with receiver([500, 404, 302, 503]) as hook, agent(hello_world(), push_internal=1) as served:
        task = (await served.result("SendMessage", sending("hello", hook)))["task"]
        await hook.ended()
        events = await served.events(task["id"])
    assert hook.got == [events[0]] * 4 + events
    assert set(hook.paths) == {"/hook"}, "a redirect was followed"


async def test_a_run_never_waits_for_a_webhook() -> None:
    hold = asyncio.Event()
    async with receiver(hold=hold) as hook, agent(hello_world(), push_internal=1) as served:
        task = (await served.result("SendMessage", sending("hello", hook)))["task"]
        assert task["status"]["state"] == DONE
        assert len(hook.got) <= 1
        hold.set()
        await told(served, task["id"], hook)


async def test_reading_a_task_resumes_a_delivery_that_was_given_up() -> None:
    async with receiver([500] * delivery.TRIES) as hook, agent(hello_world(), push_internal=1) as served:
        task = (await served.result("SendMessage", sending("hello", hook)))["task"]
        await hook.until(lambda: len(hook.got) == delivery.TRIES)
        async with asyncio.timeout(60):
            while len(hook.got) <= delivery.TRIES:  # the earlier delivery may not have ended yet
                await served.result("GetTask", {"id": task["id"]})
                await asyncio.sleep(0.01)
        await hook.ended()
        events = await served.events(task["id"])
    assert hook.got[delivery.TRIES :] == events


async def test_the_next_process_delivers_what_a_dead_one_left_undelivered(tmp_path: Path) -> None:
    hold, settings = asyncio.Event(), {"data_dir": str(tmp_path), "push_internal": 1}

    def log() -> SQLiteLog:
        return SQLiteLog(tmp_path / "log.sqlite3")

    async with receiver(hold=hold) as hook:
        async with agent(hello_world(), log=log(), store="sqlite", **settings) as served:
            task = (await served.result("SendMessage", sending("hello", hook)))["task"]
            await hook.until(lambda: len(hook.got) == 1)
        hold.set()
        async with agent(hello_world(), log=log(), store="sqlite", **settings) as served:
            await served.result("GetTask", {"id": task["id"]})
            await hook.ended()
            events = await served.events(task["id"])
    assert hook.got == [events[0], *events], "the first event was not acknowledged, so it is delivered again"


async def test_two_processes_do_not_deliver_the_same_events(tmp_path: Path) -> None:
    gate, settings = asyncio.Event(), {"data_dir": str(tmp_path), "push_internal": 1}
    async with (
        receiver() as hook,
        agent(hello_world(gate), log=SQLiteLog(tmp_path / "log.sqlite3"), store="sqlite", **settings) as one,
        agent(hello_world(gate), log=SQLiteLog(tmp_path / "log.sqlite3"), store="sqlite", **settings) as two,
    ):
        params = sending("slow", hook)
        params["configuration"]["returnImmediately"] = True
        task = (await one.result("SendMessage", params))["task"]
        for served in (two, one, two):
            await served.result("GetTask", {"id": task["id"]})
        gate.set()
        await two.finished(task["id"])
        await two.result("GetTask", {"id": task["id"]})
        await told(one, task["id"], hook)


async def test_a_delivery_ends_when_everything_is_delivered() -> None:
    async with receiver() as hook, agent(hello_world(), push_internal=1) as served:
        task = (await served.result("SendMessage", sending("hello", hook)))["task"]
        await told(served, task["id"], hook)
        await served.result(CREATE, {"taskId": task["id"], "url": f"{hook.url}/late"})
        await served.result("GetTask", {"id": task["id"]})
        await deliveries_have_ended()
        assert "/late" not in hook.paths


# 3.1.8 to 3.1.10


async def test_3_1_8_to_3_1_10_configs_can_be_read_listed_and_deleted() -> None:
    gate = asyncio.Event()
    async with receiver() as hook, agent(hello_world(gate), push_internal=1) as served:
        task_id = (await served.begin("slow"))["id"]
        first = {"taskId": task_id, "id": "a", "url": hook.url, "token": "t", "authentication": {"scheme": "Basic"}}
        assert await served.result(CREATE, first) == first
        second = await served.result(CREATE, {"taskId": task_id, "url": f"{hook.url}/2"})
        assert second["id"], "a config without an id gets one"
        assert await served.result(CREATE, {"taskId": task_id, "url": f"{hook.url}/2"}) == second
        assert await served.result(GET, {"taskId": task_id, "id": "a"}) == first
        listed = await served.result(LIST, {"taskId": task_id})
        assert sorted(each["id"] for each in listed["configs"]) == sorted(["a", second["id"]])
        assert listed["nextPageToken"] == ""
        for _ in range(2):
            assert await served.result(DELETE, {"taskId": task_id, "id": "a"}) == {}  # idempotent
        error = await served.error(GET, {"taskId": task_id, "id": "a"})
        assert (error["code"], error["data"][0]["reason"]) == (-32001, "TASK_NOT_FOUND")
        await served.result(DELETE, {"taskId": task_id, "id": second["id"]})
        await deliveries_have_ended()
        before = len(hook.got)
        gate.set()
        await served.finished(task_id)
        await served.result("GetTask", {"id": task_id})
    assert len(hook.got) == before, "a deleted config got another event"


async def test_a_config_that_another_process_deletes_is_not_tried_again(tmp_path: Path) -> None:
    settings = {"data_dir": str(tmp_path), "push_internal": 1, "renew_s": 0.05}
    async with (
        receiver([500] * 1000) as hook,
        agent(hello_world(), log=SQLiteLog(tmp_path / "log.sqlite3"), store="sqlite", **settings) as one,
        agent(hello_world(), log=SQLiteLog(tmp_path / "log.sqlite3"), store="sqlite", **settings) as other,
    ):
        with pytest.MonkeyPatch.context() as patient:
            patient.setattr(delivery, "PAUSE_S", 60)
            task = (await one.result("SendMessage", sending("hello", hook, id="mine")))["task"]
            await hook.until(lambda: hook.got)
            await other.result(DELETE, {"taskId": task["id"], "id": "mine"})
            await deliveries_have_ended()
    assert len(hook.got) == 1


@pytest.mark.parametrize("method", [CREATE, GET, LIST, DELETE])
async def test_13_1_another_owners_configs_look_unknown(method: str) -> None:
    async with agent(hello_world(), push_internal=1) as served:
        task = (await served.result("SendMessage", {"message": message("ask")}))["task"]
        params = {"taskId": task["id"], "id": "a", "url": "https://example.com/"}
        await served.result(CREATE, params)
        error = await served.error(method, params, x_tailrace_owner="mallory")
        assert error["code"] == -32001
        assert len((await served.result(LIST, {"taskId": task["id"]}))["configs"]) == 1


async def test_the_number_of_configs_of_a_task_is_limited() -> None:
    async with agent(hello_world(), push_internal=1) as served:
        task_id = (await served.result("SendMessage", {"message": message("hello")}))["task"]["id"]
        for number in range(delivery.MAX_WEBHOOKS):
            await served.result(CREATE, {"taskId": task_id, "id": str(number), "url": "http://127.0.0.1:9/"})
        error = await served.error(CREATE, {"taskId": task_id, "id": "more", "url": "http://127.0.0.1:9/"})
        assert error["code"] == -32602
        assert "delete one first" in error["message"]
        await served.result(CREATE, {"taskId": task_id, "id": "0", "url": "http://127.0.0.1:9/another"})


# 13.2


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "https://169.254.169.254/latest/", "http://example.com/"])
async def test_13_2_a_config_with_an_internal_address_is_refused(url: str) -> None:
    async with agent(hello_world()) as served:
        configuration = {"taskPushNotificationConfig": {"url": url}}
        error = await served.error("SendMessage", {"message": message("hello"), "configuration": configuration})
        assert error["code"] == -32602
        assert (await served.log.list("local")).heads == []
        task_id = (await served.result("SendMessage", {"message": message("hello")}))["task"]["id"]
        assert (await served.error(CREATE, {"taskId": task_id, "url": url}))["code"] == -32602


async def test_13_2_a_name_that_resolves_to_an_internal_address_is_never_connected_to(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hosts: list[str] = []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        hosts.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", 443))]

    monkeypatch.setattr(resolver, "getaddrinfo", resolve)
    connected: list[Any] = []
    monkeypatch.setattr(httpx.AsyncClient, "stream", lambda *args, **_: connected.append(args))
    async with agent(hello_world()) as served:
        configuration = {"taskPushNotificationConfig": {"url": "https://inside.example/hook"}}
        await served.result("SendMessage", {"message": message("hello"), "configuration": configuration})
        async with asyncio.timeout(60):
            while "stops for now" not in caplog.text:
                await asyncio.sleep(0.01)
    assert "inside.example" in hosts
    assert connected == []
    assert "127.0.0.1, which is not a public address" in caplog.text
    assert "/hook" not in caplog.text, "the path may hold a secret"


# 0.3


async def test_a_0_3_config_gets_the_task_when_its_state_changes() -> None:
    async with receiver() as hook, agent(hello_world(), push_internal=1) as served:
        sent = {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "hello"}]}
        config = {"url": hook.url, "token": "t", "authentication": {"schemes": ["Bearer"], "credentials": "c"}}
        params = {"message": sent, "configuration": {"blocking": True, "pushNotificationConfig": config}}
        task = await served.result("message/send", params, version="0.3")
        await hook.until(lambda: any(each["status"]["state"] == "completed" for each in hook.got))
        name = "tasks/pushNotificationConfig"
        listed = await served.result(f"{name}/list", {"id": task["id"]}, version="0.3")
        got = await served.result(f"{name}/get", {"id": task["id"]}, version="0.3")
        named = {"id": task["id"], "pushNotificationConfigId": got["pushNotificationConfig"]["id"]}
        assert await served.result(f"{name}/delete", named, version="0.3") is None
        assert await served.result(f"{name}/list", {"id": task["id"]}, version="0.3") == []
        made = await served.result(
            f"{name}/set", {"taskId": task["id"], "pushNotificationConfig": config}, version="0.3"
        )
    assert listed == [got] == [made]
    assert got == {"taskId": task["id"], "pushNotificationConfig": {"id": "default", **config}}
    assert {each["kind"] for each in hook.got} == {"task"}
    assert {each["id"] for each in hook.got} == {task["id"]}
    assert hook.got[-1] == task
    assert (hook.headers[0]["authorization"], hook.headers[0]["x-a2a-notification-token"]) == ("Bearer c", "t")
    assert (hook.headers[0]["content-type"], hook.headers[0]["a2a-version"]) == ("application/json", "0.3")
