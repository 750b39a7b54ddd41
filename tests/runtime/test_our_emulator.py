"""The scenarios with our own emulator, which enforces every rule of the Runtime API."""

from tests.runtime.fronts import ours
from tests.runtime.scenarios import StreamingScenarios


class TestOurEmulator(StreamingScenarios):
    serve = staticmethod(ours)
