import pytest
from log_contract import TTL_S, Clock, LogContract

from tailrace.log.memory import MemoryLog


class TestMemoryLog(LogContract):
    @pytest.fixture
    def log(self, clock: Clock) -> MemoryLog:
        return MemoryLog(ttl_s=TTL_S, clock=clock)
