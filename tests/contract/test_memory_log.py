import pytest

from tailrace.log.memory import MemoryLog
from tests.contract.log_contract import LogContract
from tests.contract.log_tasks import TTL_S, Clock


class TestMemoryLog(LogContract):
    @pytest.fixture
    def log(self, clock: Clock) -> MemoryLog:
        return MemoryLog(ttl_s=TTL_S, clock=clock)
