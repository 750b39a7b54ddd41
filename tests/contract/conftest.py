from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.dynamodb_local import dynamodb_local


@pytest.fixture(scope="session")
def local_endpoint() -> Iterator[str]:
    """DynamoDB Local, once for all tests: each has its own table."""
    with dynamodb_local() as endpoint:
        yield endpoint
