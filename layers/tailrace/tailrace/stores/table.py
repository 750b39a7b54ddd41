"""Tables that are made by a command: `python -m MODULE NAME`, where AWS_ENDPOINT_URL_DYNAMODB points.

That is for DynamoDB Local and `sam local`. On AWS the template makes the tables with the same definitions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def missing(module: str) -> str:
    """Why a table that is not there cannot be used; `module` makes one."""
    return f"there is no such table (`python -m {module} NAME` makes one)"


def create(client: DynamoDBClient, definition: dict[str, Any]) -> bool:
    """Make a table and turn its time to live on. If it exists, change nothing and return False.

    `definition` has the parameters of `CreateTable`.
    """
    name = definition["TableName"]
    try:
        client.create_table(**definition)
    except client.exceptions.ResourceInUseException:
        return False
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    client.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    return True


def main(module: str, definition: Callable[[str], dict[str, Any]]) -> None:
    """Make the table that the arguments name. `definition` gives the parameters of `CreateTable` for a name."""
    import boto3

    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {module} NAME")
    created = create(boto3.client("dynamodb"), definition(sys.argv[1]))
    print(f"The table {sys.argv[1]!r} {'was made' if created else 'already exists'}.")
