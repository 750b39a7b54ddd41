"""An AWS account on this machine: moto over HTTP, and what moto lacks."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import boto3
import httpx

from tests.support.fast_moto import moto_server

_TEMPLATE = {
    "Resources": {
        "LogTable": {
            "Type": "AWS::DynamoDB::Table",
            "DeletionPolicy": "Retain",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "DeletionProtectionEnabled": True,
                "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}],
            },
        },
        "FilesBucket": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "Properties": {
                "VersioningConfiguration": {"Status": "Enabled"},
                # Of itself moto does not do what CloudFormation does.
                "Tags": [{"Key": "aws:cloudformation:stack-id", "Value": {"Ref": "AWS::StackId"}}],
            },
        },
        "GatewayLogGroup": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Retain",
            "Properties": {"LogGroupName": {"Fn::Sub": "/tailrace/${AWS::StackName}/gateway"}},
        },
    },
}


@dataclass
class Done:
    """What a tool printed, with its exit status and its last words."""

    status: int
    printed: str
    error: str


@dataclass
class Account:
    """An account. `environ` leads AWS's clients to it."""

    environ: dict[str, str]

    def client(self, service: str, region: str = "us-east-1") -> Any:
        session = boto3.Session(aws_access_key_id="any", aws_secret_access_key="any", region_name=region)
        return session.client(service, endpoint_url=self.environ["AWS_ENDPOINT_URL"])

    def deploy(
        self,
        description: str = "Tailrace, as far as it matters here",
        *,
        stack: str = "tailrace",
        region: str = "us-east-1",
        **parameters: str,
    ) -> str:
        """Create a stack with a protected table, a bucket with versions, and a log group; return the bucket."""
        declared = {name: {"Type": "String"} for name in parameters}
        template = json.dumps({**_TEMPLATE, "Description": description, "Parameters": declared})
        values = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        cloudformation = self.client("cloudformation", region)
        cloudformation.create_stack(StackName=stack, TemplateBody=template, Parameters=values)
        resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
        (bucket,) = (each["PhysicalResourceId"] for each in resources if each["LogicalResourceId"] == "FilesBucket")
        return str(bucket)

    def run(self, tool: str, *arguments: str, typed: str = "", **variables: str) -> Done:
        """Run `python -m deploy.TOOL` in this account, in this process; `typed` is what the user types."""
        main = importlib.import_module(f"deploy.{tool}").main
        printed = io.StringIO()
        with (
            mock.patch.dict(os.environ, {**self.environ, **variables}, clear=True),
            mock.patch.object(sys, "argv", [tool, *arguments]),
            mock.patch.object(sys, "stdin", io.StringIO(typed)),
            contextlib.redirect_stdout(printed),
        ):
            try:
                main()
            except SystemExit as stop:
                return Done(1, printed.getvalue(), str(stop.code))
        return Done(0, printed.getvalue(), "")


@contextlib.contextmanager
def account() -> Iterator[Account]:
    """Yield an empty account, with the environment of a user who has credentials for it and no other."""
    with moto_server() as address:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TAILRACE_"))}
        httpx.post(f"{address}/moto-api/reset")  # all of moto's servers in a process have one state
        yield Account(
            {
                **kept,
                "HOME": "/nonexistent",
                "AWS_ENDPOINT_URL": address,
                "AWS_ACCESS_KEY_ID": "any",
                "AWS_SECRET_ACCESS_KEY": "any",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_MAX_ATTEMPTS": "1",
            }
        )
