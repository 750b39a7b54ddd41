"""Says why CloudFormation did not deploy a stack, and what to do: `python -m deploy.failure STACK`.

`make deploy` ends with it when `sam deploy` fails. Of all the resources that a failure takes with it, CloudFormation
reports the one that was the cause first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.refusals import new_session, reason_of
from deploy.stacks import Stack, find_stack

_BEGUN = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
_FAILED = ("CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED")
# What part of CloudFormation's words means what.
_REMEDIES = (
    ("must be verified", "ask AWS Support to verify the account for CloudFront; the request is free"),
    ("SnapStart", "where the region has no SnapStart for Python: make deploy PARAMETERS=SnapStart=off"),
    ("UnreservedConcurrentExecution", "make deploy PARAMETERS='GatewayConcurrency=0 AgentConcurrency=0'"),
    ("already exists", "it is left from an earlier stack, or another project's: make destroy, or another STACK=NAME"),
    ("not authorized to perform", "these credentials lack this right: an administrator's have it"),
    ("AccessDenied", "these credentials lack a right: an administrator's have it"),
    ("exceeded", "Service Quotas in the console says how much the account may have, and takes a request for more"),
)
# At most so many are printed.
_MOST = 5


def causes(events: Iterable[dict[str, Any]], stack_id: str) -> list[tuple[str, str]]:
    """Return the resources that failed in the last change of a stack with CloudFormation's words, the cause first.

    `events` are CloudFormation's, the newest first.
    """
    found = list[tuple[str, str]]()
    for event in events:
        status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
        if event.get("PhysicalResourceId") == stack_id:
            if status in _BEGUN:
                break
        # The others were stopped because of the one that failed.
        elif status in _FAILED and not reason.startswith(("Resource creation cancelled", "Resource update cancelled")):
            found.insert(0, (event["LogicalResourceId"], " ".join(reason.split())))
    return found


def described(stack: Stack, failed: list[tuple[str, str]]) -> str:
    """Return what to tell the user."""
    lines = [f"CloudFormation could not deploy {stack.name} ({stack.status}). The cause comes first:"]
    for name, reason in failed[:_MOST]:
        lines.append(f"  {name}: {reason}")
        remedy = next((remedy for words, remedy in _REMEDIES if words.lower() in reason.lower()), None)
        if remedy is not None:
            lines.append(f"    What to do: {remedy}")
    if stack.status == "ROLLBACK_COMPLETE":
        lines.append(f"  After that: make destroy STACK={stack.name}, then make deploy STACK={stack.name}")
    return "\n".join(lines)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m deploy.failure STACK")
    try:
        session = new_session()
        stack = find_stack(session, sys.argv[1])
        if stack is None:
            return
        pages = session.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack.id)
        events: Iterable[Any] = (event for page in pages for event in page["StackEvents"])
        if failed := causes(events, stack.id):
            print(f"tailrace: {described(stack, failed)}", file=sys.stderr)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"tailrace: {reason_of(error)}")


if __name__ == "__main__":
    main()
