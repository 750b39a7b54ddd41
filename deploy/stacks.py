"""What an account has of a stack, for `deploy.preflight` and `deploy.destroy`.

`python -m deploy.stacks STACK PARAMETER` prints the value that a parameter of the stack has; nothing without the stack.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deploy.refusals import new_session, reason_of

# The tables and buckets outlive the stack. CloudFormation puts the stack's name before their logical ids.
TABLES = ("LogTable", "CheckpointTable")
# FilesBucket has a name of its own, with the stack's id.
_FILES = re.compile(r"tailrace-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# CloudFormation's tag says whose a bucket is: all regions' buckets are in one list, and another region's stack may have
# the same name. A bucket's name has the beginning of the stack's, in lower case.
_STACK_TAG, _KEPT = "aws:cloudformation:stack-id", 16


@dataclass
class Stack:
    """A stack as CloudFormation describes it."""

    name: str
    id: str
    status: str
    description: str
    parameters: dict[str, str]
    protected: bool
    """Whether CloudFormation refuses to delete it."""

    @property
    def ours(self) -> bool:
        return self.description.startswith("Tailrace")


@dataclass
class Belongings:
    """What is there under a stack's name, with or without the stack."""

    tables: list[str] = field(default_factory=list)
    buckets: list[str] = field(default_factory=list)
    log_groups: list[str] = field(default_factory=list)


def find_stack(session: boto3.Session, name: str) -> Stack | None:
    """Return the stack of this name; None if there is none.

    Raises:
        ClientError: CloudFormation refused to say.
    """
    try:
        (described,) = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return Stack(
        name=name,
        id=described["StackId"],
        status=described["StackStatus"],
        description=described.get("Description", ""),
        parameters={each["ParameterKey"]: each.get("ParameterValue", "") for each in described.get("Parameters", ())},
        protected=described.get("EnableTerminationProtection", False),
    )


def belongings_of(session: boto3.Session, name: str, stack: Stack | None) -> Belongings:
    """Return what belongs to the stack, and what an earlier one of the same name has left.

    Raises:
        ClientError: AWS refused to say.
    """
    buckets = _left_buckets(session, name)
    if stack is not None:
        pages = session.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.id)
        its = [
            each["PhysicalResourceId"]
            for page in pages
            for each in page["StackResourceSummaries"]
            if each["ResourceType"] == "AWS::S3::Bucket"
            and each.get("PhysicalResourceId")
            and each["ResourceStatus"] != "DELETE_COMPLETE"
        ]
        buckets = list(dict.fromkeys([*its, *buckets]))
    pages = session.client("dynamodb").get_paginator("list_tables").paginate()
    its_table = re.compile(rf"{re.escape(name)}-({'|'.join(TABLES)})-[0-9A-Z]+")
    tables = [each for page in pages for each in page["TableNames"] if its_table.fullmatch(each)]
    return Belongings(tables=tables, buckets=buckets, log_groups=_log_groups(session, name))


def _left_buckets(session: boto3.Session, name: str) -> list[str]:
    s3: Any = session.client("s3")
    names = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    likely = (each for each in names if each.startswith(name[:_KEPT].lower()) or _FILES.fullmatch(each))
    return [each for each in likely if _is_of(s3, each, name, session.region_name)]


def _is_of(s3: Any, bucket: str, stack: str, region: str) -> bool:
    """Whether a stack of this name in this region has made the bucket."""
    try:
        tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    except ClientError:  # it has none, or it is another account's
        return False
    ids = [each["Value"] for each in tags if each["Key"] == _STACK_TAG]
    # arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID
    return any((each.split(":")[3], each.split("/")[1]) == (region, stack) for each in ids)


def _log_groups(session: boto3.Session, name: str) -> list[str]:
    pages = (
        session.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/tailrace/{name}/")
    )
    return [each["logGroupName"] for page in pages for each in page["logGroups"]]


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python -m deploy.stacks STACK PARAMETER")
    try:
        stack = find_stack(new_session(), sys.argv[1])
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"tailrace: {reason_of(error)}")
    print(stack.parameters.get(sys.argv[2], "") if stack else "")


if __name__ == "__main__":
    main()
