"""The emulated AWS of the containers: DynamoDB with all tables, S3 with the bucket, SSM with the agents' registry."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from tailrace.access import dynamodb as access
from tailrace.agent.checkpoints.store import definition
from tailrace.log.table import create_table

TABLE, CHECKPOINTS, ACCESS, BUCKET = "tailrace", "tailrace-checkpoints", "tailrace-access", "tailrace-files"
REGISTRY = "/tailrace/local/agents"


@contextlib.contextmanager
def emulated(address: str, port: int = 0, agents: Mapping[str, str] | None = None) -> Iterator[int]:
    """Serve it on `address`; yield the port, which is `port` or a free one. `agents` are names and URLs to register.

    Raises:
        OSError: the port is not free.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs every request
    server = ThreadedMotoServer(address, port=port, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        session = boto3.Session(aws_access_key_id="any", aws_secret_access_key="any", region_name="us-east-1")  # noqa: S106
        url = f"http://{address}:{port}"
        dynamodb: Any = session.client("dynamodb", endpoint_url=url)
        create_table(dynamodb, TABLE)
        dynamodb.create_table(**definition(CHECKPOINTS))
        dynamodb.create_table(**access.definition(ACCESS))
        session.client("s3", endpoint_url=url).create_bucket(Bucket=BUCKET)
        ssm = session.client("ssm", endpoint_url=url)
        for name, agent in (agents or {}).items():
            value = json.dumps({"url": agent, "function": name})
            ssm.put_parameter(Name=f"{REGISTRY}/{name}", Value=value, Type="String")
        yield port
    finally:
        server.stop()


def container_settings(aws: str, s3: str, invoke: str) -> dict[str, dict[str, str]]:
    """Return the environment of all functions, as `--env-vars` wants it.

    `aws` is the URL of the emulated AWS for containers, `s3` that of S3 for containers and browsers, and `invoke` the
    one where agents are invoked.
    """
    return {
        "Parameters": {
            "AWS_ENDPOINT_URL_DYNAMODB": aws,
            "AWS_ENDPOINT_URL_LAMBDA": invoke,
            "AWS_ENDPOINT_URL_S3": s3,
            "AWS_ENDPOINT_URL_SSM": aws,
            "TAILRACE_BUCKET": BUCKET,
            "TAILRACE_TABLE": TABLE,
            "TAILRACE_CHECKPOINT_TABLE": CHECKPOINTS,
            "TAILRACE_ACCESS_TABLE": ACCESS,
            "TAILRACE_REGISTRY": REGISTRY,
        }
    }
