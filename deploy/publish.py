"""Publishes the page behind CloudFront: `python -m deploy.publish STACK`, after `sam deploy`.

Uploads the files of frontend/, HTML last; deletes all others in the bucket; invalidates CloudFront's copies; prints the
page's URL. Exit status 1 if AWS refuses something.
"""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deploy.content_types import content_type
from deploy.refusals import new_session, reason_of

FRONTEND = Path(__file__).parents[1] / "frontend"
# The names do not change with the content, so every cached copy has to be revalidated.
CACHE_CONTROL = "no-cache"


def upload(s3: Any, bucket: str, frontend: Path = FRONTEND) -> list[str]:
    """Make `bucket` have exactly the files of `frontend`; return their names."""
    files = {path.relative_to(frontend).as_posix(): path for path in frontend.rglob("*") if path.is_file()}
    # HTML last, so that a page never names a script that is not uploaded yet.
    for name in sorted(files, key=lambda each: (each.endswith(".html"), each)):
        s3.put_object(
            Bucket=bucket,
            Key=name,
            Body=files[name].read_bytes(),
            ContentType=content_type(files[name]),
            CacheControl=CACHE_CONTROL,
        )
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", ()):
            if item["Key"] not in files:
                s3.delete_object(Bucket=bucket, Key=item["Key"])
    return sorted(files)


def outputs_of(stack: str) -> dict[str, str]:
    """Return the outputs of a stack by their names."""
    (described,) = new_session().client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", ())}


def publish(stack: str) -> str:
    """Upload the page of `stack` and return its URL."""
    outputs = outputs_of(stack)
    upload(boto3.client("s3"), outputs["PageBucket"])
    boto3.client("cloudfront").create_invalidation(
        DistributionId=outputs["DistributionId"],
        InvalidationBatch={"Paths": {"Quantity": 1, "Items": ["/*"]}, "CallerReference": uuid.uuid4().hex},
    )
    return outputs["Url"]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m deploy.publish STACK")
    try:
        print(publish(sys.argv[1]))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"publish: {reason_of(error)}")


if __name__ == "__main__":
    main()
