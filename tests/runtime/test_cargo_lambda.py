"""The scenarios with cargo-lambda's emulator, which is independent of us and streams."""

from __future__ import annotations

from tests.runtime.fronts import ReceivedResponse, cargo_lambda
from tests.runtime.gate import Gate
from tests.runtime.scenarios import Serve, StreamingScenarios


class TestCargoLambda(StreamingScenarios):
    serve = staticmethod(cargo_lambda)
    failed = 500

    def is_cut(self, answer: ReceivedResponse) -> None:
        """The emulator drops the trailers and ends the response without an error."""

    async def test_a_disconnected_reader_stops_the_response_but_not_the_run(self, front: Serve, gate: Gate) -> None:
        """The emulator closes the response when its client disconnects; AWS says that Lambda does not."""
        async with front(GATE=str(gate.port)) as function:
            async with function.http.stream("GET", f"{function.url}/gone") as response:
                assert await anext(response.aiter_raw()) == b"hello?"
                assert {await gate.arrival(), await gate.arrival()} == {"runs", "streams"}
            gate.open()
            # The only process is free again once the app has stopped and the run is done.
            assert (await function.ask("GET", "/hello")).body == b"hello"
