import pytest
from log_contract import LogContract
from log_tasks import TTL_S, Clock

from tailrace.log.memory import MemoryLog


class TestMemoryLog(LogContract):
    @pytest.fixture
    def log(self, clock: Clock) -> MemoryLog:
        return MemoryLog(ttl_s=TTL_S, clock=clock)
