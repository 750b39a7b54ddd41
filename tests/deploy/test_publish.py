"""Publishing the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deploy import publish
from local.site import FRONTEND, PAGE_HEADERS

BUCKET = "page"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account with the bucket of the stack, which has an old page, and with its distribution."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        for name in ("index.html", "gone.js"):
            s3.put_object(Bucket=BUCKET, Key=name, Body=b"old")
        origin = {"Id": "page", "DomainName": f"{BUCKET}.s3.us-east-1.amazonaws.com"}
        made = boto3.client("cloudfront").create_distribution(
            DistributionConfig={
                "CallerReference": "test",
                "Comment": "",
                "Enabled": True,
                "Origins": {"Quantity": 1, "Items": [{**origin, "S3OriginConfig": {"OriginAccessIdentity": ""}}]},
                "DefaultCacheBehavior": {"TargetOriginId": "page", "ViewerProtocolPolicy": "allow-all"},
            }
        )
        outputs = {"PageBucket": BUCKET, "DistributionId": made["Distribution"]["Id"], "Url": "https://d.example/"}
        monkeypatch.setattr(publish, "outputs_of", lambda stack: {"tailrace": outputs}[stack])
        yield


@pytest.mark.usefixtures("aws")
def test_publishing_replaces_the_files_of_the_bucket_and_invalidates_the_cache() -> None:
    assert publish.publish("tailrace") == "https://d.example/"
    s3 = boto3.client("s3")
    held = {each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert held == {path.relative_to(FRONTEND).as_posix() for path in FRONTEND.rglob("*") if path.is_file()}
    for name in held:
        found = s3.get_object(Bucket=BUCKET, Key=name)
        assert found["Body"].read() == (FRONTEND / name).read_bytes()
        assert found["ContentType"] == publish.content_type(Path(name))
        assert found["CacheControl"] == PAGE_HEADERS["Cache-Control"]
        assert "ContentEncoding" not in found
    cloudfront = boto3.client("cloudfront")
    (distribution,) = cloudfront.list_distributions()["DistributionList"]["Items"]
    (made,) = cloudfront.list_invalidations(DistributionId=distribution["Id"])["InvalidationList"]["Items"]
    invalidated = cloudfront.get_invalidation(DistributionId=distribution["Id"], Id=made["Id"])["Invalidation"]
    assert invalidated["InvalidationBatch"]["Paths"]["Items"] == ["/*"]


def test_html_is_uploaded_after_the_scripts_that_it_names() -> None:
    order: list[str] = []

    class Bucket:
        def put_object(self, **about: Any) -> None:
            order.append(about["Key"])

        def get_paginator(self, _: str) -> Bucket:
            return self

        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            return [{}]

    publish.upload(Bucket(), BUCKET)
    pages = [path.name for path in FRONTEND.glob("*.html")]
    assert sorted(order[-len(pages) :]) == sorted(pages)
    assert "app.js" in order[: -len(pages)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("styles.css", "text/css; charset=utf-8"),
        ("favicon.svg", "image/svg+xml"),
        ("sample.json", "application/json; charset=utf-8"),
        ("access.log.gz", "application/gzip"),
    ],
)
def test_a_file_is_served_with_its_content_type(name: str, expected: str) -> None:
    assert publish.content_type(Path(name)) == expected
