"""When CloudFormation refuses something, `make deploy` ends with the cause and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.failure import causes, described
from deploy.stacks import Stack
from tests.deploy.accounts import account

ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/tailrace/51af3dc0-da77-11e4-872e-1234567890ab"


def event(name: str, status: str, reason: str = "", resource_id: str = "") -> dict[str, Any]:
    return {
        "LogicalResourceId": name,
        "PhysicalResourceId": resource_id,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def stack(status: str) -> Stack:
    return Stack(name="tailrace", id=ID, status=status, description="Tailrace", parameters={}, protected=False)


def test_the_cause_comes_first_and_nothing_that_it_took_with_it_or_that_is_older() -> None:
    newest_first = [
        event("tailrace", "ROLLBACK_COMPLETE", resource_id=ID),
        event("LogTable", "CREATE_FAILED", "Resource creation cancelled"),
        event("GatewayRole", "CREATE_FAILED", "Roles are\n out"),
        event("Distribution", "CREATE_FAILED", "Your account must be verified before you can add new resources."),
        event("LogTable", "CREATE_IN_PROGRESS"),
        event("tailrace", "CREATE_IN_PROGRESS", "User Initiated", resource_id=ID),
        event("Dashboard", "CREATE_FAILED", "of an earlier try"),
    ]
    failed = causes(newest_first, ID)
    assert [name for name, _ in failed] == ["Distribution", "GatewayRole"]
    assert described(stack("ROLLBACK_COMPLETE"), failed).splitlines() == [
        "CloudFormation could not deploy tailrace (ROLLBACK_COMPLETE). The cause comes first:",
        "  Distribution: Your account must be verified before you can add new resources.",
        "    What to do: ask AWS Support to verify the account for CloudFront; the request is free",
        "  GatewayRole: Roles are out",
        "  After that: make destroy STACK=tailrace, then make deploy STACK=tailrace",
    ]
    assert "make destroy" not in described(stack("UPDATE_ROLLBACK_COMPLETE"), failed)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("SnapStart is not supported in this region", "SnapStart=off"),
        (
            "ReservedConcurrentExecutions … decreases account's UnreservedConcurrentExecution below",
            "GatewayConcurrency=0",
        ),
        ("/tailrace/tailrace/gateway already exists in stack", "make destroy"),
        ("User: x is not authorized to perform: iam:CreateRole", "an administrator's"),
        ("The maximum number of buckets has been exceeded", "Service Quotas"),
    ],
)
def test_what_a_new_account_runs_into_has_its_remedy(reason: str, remedy: str) -> None:
    text = described(stack("UPDATE_ROLLBACK_COMPLETE"), [("Thing", reason)])
    assert remedy in text.partition("What to do: ")[2]


def test_where_cloudformation_was_not_asked_or_all_went_well_there_is_nothing_to_say() -> None:
    """`sam deploy` may fail before it."""
    with account() as aws:
        before = aws.run("failure", "tailrace")
        aws.deploy()
        after = aws.run("failure", "tailrace")
    for done in (before, after):
        assert (done.status, done.printed, done.error) == (0, "", "")
