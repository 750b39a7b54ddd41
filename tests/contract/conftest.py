from __future__ import annotations

import shutil
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


@pytest.fixture(scope="module")
def any_dynamodb(request: pytest.FixtureRequest) -> str:
    """DynamoDB Local; with `make test-fast`, and where there is no Java for it, moto, which starts at once."""
    fast = "not slow" in request.config.option.markexpr
    return str(request.getfixturevalue("moto_endpoint" if fast or shutil.which("java") is None else "local_endpoint"))
