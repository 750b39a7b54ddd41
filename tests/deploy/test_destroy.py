"""`make destroy` asks first, and then leaves nothing of a deployment."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from deploy import destroy
from tests.deploy.accounts import Account, account


@pytest.fixture
def aws() -> Iterator[Account]:
    with account() as made:
        yield made


def what_is_there(aws: Account) -> list[str]:
    buckets = [each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]]
    groups = [each["logGroupName"] for each in aws.client("logs").describe_log_groups()["logGroups"]]
    stacks = aws.client("cloudformation").describe_stacks()["Stacks"]
    tables: list[str] = aws.client("dynamodb").list_tables()["TableNames"]
    return [*buckets, *groups, *tables, *(each["StackName"] for each in stacks)]


def test_it_takes_everything_away_after_the_stacks_name_was_typed(aws: Account) -> None:
    bucket = aws.deploy()
    s3 = aws.client("s3")
    for body in (b"one", b"two"):
        s3.put_object(Bucket=bucket, Key="uploads/a", Body=body)
    s3.delete_object(Bucket=bucket, Key="uploads/a")
    done = aws.run("destroy", "tailrace", typed="tailrace\n")
    assert done.status == 0, done.error
    assert "In account 123456789012, us-east-1, this will be deleted for good:" in done.printed
    for named in (f"the bucket {bucket}", "the table tailrace-LogTable-", "the log group /tailrace/tailrace/gateway"):
        assert named in done.printed
    assert done.printed.splitlines()[-1] == "tailrace is gone."
    assert what_is_there(aws) == []


@pytest.mark.parametrize("typed", ["", "\n", "yes\n", "tailrace-test\n"])
def test_without_the_stacks_name_nothing_is_deleted(aws: Account, typed: str) -> None:
    aws.deploy()
    before = what_is_there(aws)
    done = aws.run("destroy", "tailrace", typed=typed)
    assert done.status == 1
    assert done.error == "tailrace: nothing was deleted."
    assert what_is_there(aws) == before


def test_what_an_earlier_stack_has_left_is_deleted_too(aws: Account) -> None:
    aws.deploy()
    aws.client("cloudformation").delete_stack(StackName="tailrace")
    assert len(what_is_there(aws)) == 3
    another_stacks = "tailrace-51af3dc0-da77-11e4-872e-1234567890ab"  # CloudFormation's tag is missing
    aws.client("s3").create_bucket(Bucket=another_stacks)
    done = aws.run("destroy", "tailrace", typed="tailrace\n")
    assert done.status == 0, done.error
    assert what_is_there(aws) == [another_stacks]
    again = aws.run("destroy", "tailrace")
    assert again.printed.strip() == "There is no stack tailrace in us-east-1, and nothing of an earlier one."


@pytest.mark.parametrize(
    "of_another", [{"region": "eu-west-1"}, {"stack": "tailrace-LogTable-2"}, {"stack": "Tailrace"}]
)
def test_what_another_stack_has_is_left_alone(aws: Account, of_another: dict[str, str]) -> None:
    """S3 lists the buckets of all regions, and names them in lower case."""
    kept = aws.deploy(**of_another)
    before = what_is_there(aws)
    bucket = aws.deploy()
    done = aws.run("destroy", "tailrace", typed="tailrace\n")
    assert done.status == 0, done.error
    assert f"the bucket {bucket}" in done.printed
    assert kept not in done.printed
    assert what_is_there(aws) == before


def test_another_projects_stack_is_not_touched(aws: Account) -> None:
    aws.deploy("A shop")
    before = what_is_there(aws)
    done = aws.run("destroy", "tailrace", typed="tailrace\n")
    assert done.error == "tailrace: tailrace is another project's stack (A shop)."
    assert what_is_there(aws) == before


@pytest.mark.parametrize("tool", ["destroy", "publish", "failure"])
@pytest.mark.parametrize("region", ["", "us east"])
def test_a_region_that_is_none_is_told_in_words(aws: Account, tool: str, region: str) -> None:
    aws.environ.pop("AWS_ENDPOINT_URL")
    done = aws.run(tool, "tailrace", AWS_DEFAULT_REGION=region)
    assert done.status == 1
    told = "You must specify a region. What to do: AWS_DEFAULT_REGION=us-east-1 make …" if not region else "'us east'"
    assert told in done.error


def test_a_bucket_is_emptied_of_all_versions_and_partial_uploads(aws: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, aws.environ[name])
    bucket, s3 = aws.deploy(), aws.client("s3")
    for n in range(3):
        s3.put_object(Bucket=bucket, Key=f"k{n % 2}", Body=b"%d" % n)
    s3.delete_object(Bucket=bucket, Key="k0")
    s3.create_multipart_upload(Bucket=bucket, Key="half")
    destroy.empty(boto3.Session(), bucket)
    versions = s3.list_object_versions(Bucket=bucket)
    assert not versions.get("Versions")
    assert not versions.get("DeleteMarkers")
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    destroy.empty(boto3.Session(), "a-bucket-that-is-gone")
