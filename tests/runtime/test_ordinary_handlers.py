"""Events other than Function URL requests, and handlers without an app, get a buffered response."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.runtime.emulator import Emulator
from tests.runtime.events import api_gateway_event, function_url_event
from tests.runtime.fronts import FUNCTIONS


async def test_an_api_gateway_event_goes_through_mangum(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "web", "app.handler", python=sys.executable) as function:
        buffered = await function.invoke(api_gateway_event("GET", "/?q=1", {"cookie": "k=v"}))
        streamed = await function.invoke(function_url_event("GET", "/"), streamed=True)
        failed = await function.invoke(api_gateway_event("GET", "/boom"))
    answer = buffered.json
    body = json.loads(answer["body"])
    assert (answer["statusCode"], answer["isBase64Encoded"], buffered.prelude) == (200, False, None)
    assert (body["query"], body["cookies"]) == ({"q": "1"}, {"k": "v"})
    assert body["remaining"] > 0
    assert [each.split("=")[0] for each in answer["cookies"]] == ["session", "theme"]
    # The app's connections belong to one loop, which serves both kinds of events.
    assert streamed.json["loop"] == body["loop"]
    assert failed.json["statusCode"] == 500


async def test_an_ordinary_handler_gets_other_events(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=sys.executable) as function:
        scheduled = await function.invoke({"version": "0", "source": "aws.events"})
        gateway = await function.invoke(api_gateway_event())
    assert (scheduled.json["called"], gateway.json["called"]) == (True, True)


async def test_results_and_errors_match_the_managed_runtime(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "ordinary.ordinary", python=sys.executable) as function:
        result = await function.invoke({"n": [1, "ä"]})
        raw = await function.invoke({"bytes": True})
        failed = await function.invoke({"fail": "nothing here"})
        strange = await function.invoke({"unserializable": True})
        large = await function.invoke({"kb": 6 * 1024 - 1})
        too_large = await function.invoke({"kb": 6 * 1024 + 1})
        again = await function.invoke({"n": 2})
        url = await function.invoke(function_url_event())
    assert (result.json["event"], result.json["umlaut"]) == ({"n": [1, "ä"]}, "ä")
    assert raw.body == b"\x00\x01"
    assert failed.error is not None
    assert (failed.error["errorType"], failed.error["errorMessage"]) == ("LookupError", "nothing here")
    assert "in ordinary" in failed.error["stackTrace"][-1]
    assert strange.error is not None
    assert strange.error["errorType"] == "Runtime.MarshalError"
    assert len(large.json) == (6 * 1024 - 1) * 1024
    assert too_large.error is not None
    assert too_large.error["errorType"] == "Function.ResponseSizeTooLarge"
    assert "exceeded maximum allowed payload size (6291556 bytes)" in too_large.error["errorMessage"]
    assert again.json["event"] == {"n": 2}
    assert url.json["event"]["version"] == "2.0"  # no app: not streamed
    assert len(function.environments) == 1


async def test_text_of_any_language_is_not_escaped(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "ordinary.ordinary", python=sys.executable) as function:
        large = await function.invoke({"kb": 2 * 1024 - 1, "of": "語"})  # 6 MB minus 3 KB; escaped it would be 12 MB
        too_large = await function.invoke({"kb": 2 * 1024 + 1, "of": "語"})
        half = await function.invoke({"value": "half a pair"})
        failed = await function.invoke({"fail": "nicht da: \ud83d grün"})
    assert large.body == b'"' + "語".encode() * ((2 * 1024 - 1) * 1024) + b'"'
    assert too_large.error is not None
    assert too_large.error["errorType"] == "Function.ResponseSizeTooLarge"
    assert half.body == rb'{"cut \ud83d": "' + "ä".encode() + rb"\udc00" + "€".encode() + b'"}'
    assert failed.error is not None
    assert failed.error["errorMessage"] == "nicht da: \ud83d grün"


async def test_numbers_are_encoded_as_in_the_managed_runtime(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "ordinary.ordinary", python=sys.executable) as function:
        numbers = await function.invoke({"value": "numbers"})
    assert numbers.body == b"[NaN, Infinity, -Infinity, 12345678901234567890, -7, 1.5, NaN]"


async def test_a_result_that_is_not_json_fails_only_its_invocation(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "ordinary.ordinary", python=sys.executable) as function:
        for value in ("itself", "deep"):
            failed = await function.invoke({"value": value})
            assert failed.error is not None, value
            assert failed.error["errorType"] == "Runtime.MarshalError"
        assert (await function.invoke({"asyncio_run": 21})).json == 42
    assert len(function.environments) == 1


async def test_a_handler_may_use_its_own_event_loop_or_ours(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "ordinary.ordinary", python=sys.executable) as function:
        for _ in range(2):  # `asyncio.run` leaves no current loop behind
            assert (await function.invoke({"asyncio_run": 21})).json == 42
            assert (await function.invoke({"current_loop": 4})).json == 8


async def test_a_coroutine_function_is_awaited(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "ordinary.coroutine", python=sys.executable) as function:
        assert (await function.invoke({"value": 21})).json == 42
        failed = await function.invoke({"fail": "nothing here"})
    assert failed.error is not None
    assert failed.error["errorType"] == "LookupError"
