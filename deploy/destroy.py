"""Takes a deployment away: `python -m deploy.destroy STACK` (or `make destroy`), after asking for the stack's name.

Empties the buckets, with all versions; deletes the stack; then what outlives it: its buckets, tables and log groups,
also those that an earlier stack of the same name has left. An interrupted one can be run again. Exit status 1 if
something is left.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deploy.refusals import new_session, reason_of
from deploy.stacks import Belongings, Stack, belongings_of, find_stack

# A distribution takes minutes to be switched off everywhere, and CloudFormation waits for that.
_LONGEST_S = 3600.0
_POLL_S = 10.0


class DestroyError(Exception):
    """Something could not be taken away. The message is for the user."""


def describe(name: str, stack: Stack | None, belongings: Belongings) -> str:
    """Return what will be deleted, for the user."""
    lines = [f"the stack {name} ({stack.status}), with the page, the functions and the dashboard"] if stack else []
    lines += [f"the bucket {each} and all files in it" for each in belongings.buckets]
    lines += [f"the table {each} and everything in it" for each in belongings.tables]
    lines += [f"the log group {each}" for each in belongings.log_groups]
    return "\n".join(f"  {line}" for line in lines)


def destroy(session: boto3.Session, name: str, stack: Stack | None, belongings: Belongings) -> None:
    """Delete all of it.

    Raises:
        DestroyError: CloudFormation could not delete the stack.
        ClientError: AWS refused something else.
    """
    if stack is not None:
        say(f"deleting the stack {name}: this takes minutes, most of them for the distribution")
        _empty_and_delete(session, stack, belongings.buckets)
    for bucket in belongings.buckets:
        say(f"deleting the bucket {bucket}")
        empty(session, bucket)
        delete_bucket(session, bucket)
    # Also those that the deletion of the stack has left.
    left = belongings_of(session, name, None)
    for table in left.tables:
        say(f"deleting the table {table}")
        delete_table(session, table)
    for group in left.log_groups:
        say(f"deleting the log group {group}")
        session.client("logs").delete_log_group(logGroupName=group)


def _empty_and_delete(session: boto3.Session, stack: Stack, buckets: list[str]) -> None:
    """Delete the stack; once more if a run has put a file into a bucket while its function was still there."""
    for last in (False, True):
        for bucket in buckets:
            say(f"emptying {bucket}")
            empty(session, bucket)
        session.client("cloudformation").delete_stack(StackName=stack.id)
        reasons = _reasons_it_stays(session, stack)
        if not reasons:
            return
        if last:
            raise DestroyError(f"{stack.name} could not be deleted.\n" + "\n".join(reasons))


def empty(session: boto3.Session, bucket: str) -> None:
    """Delete every version of every object, and what was uploaded in part. A bucket that is gone is empty."""
    s3: Any = session.client("s3")
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            versions = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in versions]
            if objects:  # at most 1,000 in a page, as many as a request may delete
                deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
                if errors := deleted.get("Errors"):
                    key, why = errors[0]["Key"], errors[0]["Message"]
                    raise DestroyError(f"{len(errors)} objects of {bucket} stay, the first of them {key}: {why}")
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in page.get("Uploads", ()):
                s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise


def delete_bucket(session: boto3.Session, bucket: str) -> None:
    """Delete a bucket that is empty. One that is gone needs nothing."""
    try:
        session.client("s3").delete_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise


def delete_table(session: boto3.Session, table: str) -> None:
    """Delete a table that may be protected from it."""
    dynamodb = session.client("dynamodb")
    if dynamodb.describe_table(TableName=table)["Table"].get("DeletionProtectionEnabled"):
        dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 2})
    dynamodb.delete_table(TableName=table)


def _reasons_it_stays(session: boto3.Session, stack: Stack) -> list[str]:
    """Wait until CloudFormation has deleted the stack, or return the resources that stay, with its reasons."""
    end = time.monotonic() + _LONGEST_S
    while (current := find_stack(session, stack.id)) is not None and current.status != "DELETE_COMPLETE":
        if current.status == "DELETE_FAILED":
            resources = session.client("cloudformation").describe_stack_resources(StackName=stack.id)["StackResources"]
            return [
                f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', 'without a reason')}"
                for each in resources
                if each["ResourceStatus"] == "DELETE_FAILED"
            ]
        if time.monotonic() > end:
            raise DestroyError(f"{stack.name} is {current.status} after an hour; run the same command again.")
        time.sleep(_POLL_S)
    return []


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m deploy.destroy STACK")
    name = sys.argv[1]
    try:
        session = new_session()
        stack = find_stack(session, name)
        if stack is not None and not stack.ours:
            sys.exit(f"tailrace: {name} is another project's stack ({stack.description or 'without a description'}).")
        if stack is not None and stack.protected:
            remedy = "aws cloudformation update-termination-protection --no-enable-termination-protection"
            sys.exit(f"tailrace: {name} is protected from deletion. First: {remedy} --stack-name {name}")
        belongings = belongings_of(session, name, stack)
        described = describe(name, stack, belongings)
        if not described:
            say(f"There is no stack {name} in {session.region_name}, and nothing of an earlier one.")
            return
        account = session.client("sts").get_caller_identity()["Account"]
        say(f"In account {account}, {session.region_name}, this will be deleted for good:\n{described}")
        try:
            typed = input("Type the stack's name to go on: ")
        except EOFError:
            typed = ""
        if typed.strip() != name:
            sys.exit("tailrace: nothing was deleted.")
        destroy(session, name, stack, belongings)
        say(f"{name} is gone.")
    except DestroyError as error:
        sys.exit(f"tailrace: {error}")
    except (ClientError, BotoCoreError) as error:
        sys.exit(f"tailrace: {reason_of(error)}")
    except KeyboardInterrupt:
        sys.exit("\ntailrace: interrupted; run the same command again.")


if __name__ == "__main__":
    main()
