from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.dynamodb_local import dynamodb_local
from tests.support.fast_moto import moto_server


@pytest.fixture(scope="session")
def local_endpoint() -> Iterator[str]:
    """DynamoDB Local, once for all tests: each has its own table."""
    with dynamodb_local() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(
    params=[
        pytest.param("moto_endpoint", id="moto"),
        pytest.param("local_endpoint", marks=pytest.mark.slow, id="DynamoDB Local"),
    ]
)
def any_dynamodb(request: pytest.FixtureRequest) -> str:
    """Each DynamoDB that this machine has, in turn."""
    return str(request.getfixturevalue(request.param))
