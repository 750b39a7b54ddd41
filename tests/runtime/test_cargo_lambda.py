"""The scenarios against cargo-lambda's emulator: other people's idea of Lambda, with real streaming."""

from __future__ import annotations

from tests.runtime.fronts import ReceivedResponse, cargo_lambda
from tests.runtime.gate import Gate
from tests.runtime.scenarios import Serve, StreamingScenarios


class TestCargoLambda(StreamingScenarios):
    serve = staticmethod(cargo_lambda)
    failed = 500

    def is_cut(self, answer: ReceivedResponse) -> None:
        """It drops the trailers and ends the response as if nothing were wrong."""

    async def test_a_disconnected_reader_stops_the_response_but_not_the_run(self, front: Serve, gate: Gate) -> None:
        """It hangs up on the response when its client has gone, as AWS says it never does."""
        async with front(GATE=str(gate.port)) as function:
            async with function.http.stream("GET", f"{function.url}/gone") as response:
                assert await anext(response.aiter_raw()) == b"hello?"
                assert {await gate.arrival(), await gate.arrival()} == {"runs", "streams"}
            gate.open()
            # There is one process, and it takes this when the app has stopped and the run is done.
            assert (await function.ask("GET", "/hello")).body == b"hello"
