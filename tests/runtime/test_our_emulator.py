"""The scenarios with our own emulator, which enforces every rule of the Runtime API."""

from functools import partial

from tests.runtime.events import rest_api_event
from tests.runtime.fronts import ours
from tests.runtime.scenarios import StreamingScenarios


class TestOurEmulator(StreamingScenarios):
    serve = staticmethod(ours)


class TestRestApi(StreamingScenarios):
    """With the events of an API Gateway REST API that streams."""

    serve = staticmethod(partial(ours, event=rest_api_event))
    version = None
