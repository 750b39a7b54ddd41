"""The scenarios with AWS's runtime interface emulator: the real Runtime API, one invocation at a time, buffered."""

from __future__ import annotations

from tests.runtime.fronts import ReceivedResponse, interface_emulator
from tests.runtime.scenarios import Scenarios, Serve


class TestInterfaceEmulator(Scenarios):
    serve = staticmethod(interface_emulator)

    def is_cut(self, answer: ReceivedResponse) -> None:
        """The emulator drops the trailers, so only the body can be checked."""

    async def test_a_crash_is_an_error_and_the_next_invocation_has_another_process(self, front: Serve) -> None:
        async with front() as function:
            assert (await function.ask("GET", "/hello")).body == b"hello"
            crashed = await function.ask("GET", "/crash-before")
            assert (crashed.status, b"Runtime.ExitError" in crashed.body) == (502, True)
            assert (await function.ask("GET", "/hello")).body == b"hello"

    async def test_a_handler_that_cannot_be_loaded_is_an_init_error(self, front: Serve) -> None:
        async with front("broken", handler="imports.handler") as function:
            answer = await function.ask("GET", "/")
            assert b"Runtime.ImportModuleError" in answer.body
            assert b"a_package_that_is_not_there" in answer.body

    async def test_an_app_that_ignores_its_deadline_is_killed(self, front: Serve) -> None:
        async with front(AWS_LAMBDA_FUNCTION_TIMEOUT="2") as function:
            answer = await function.ask("GET", "/stuck")
            assert b"timed out after 2.00 seconds" in answer.body
            assert (await function.ask("GET", "/hello")).body == b"hello"
