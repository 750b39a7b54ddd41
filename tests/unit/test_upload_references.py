"""References to uploads: who may read what, what is no reference, and that what is read is what was promised."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import uuid
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from tailrace.a2a.compat.v0_3 import server as v0_3
from tailrace.a2a.types import UserPart, convert, to_json
from tailrace.config import Settings
from tailrace.errors import RequestError, UploadDamaged
from tailrace.events import Part
from tailrace.owner import Owner, owner_within
from tailrace.uploads import UPLOADS, Upload, open_uploads, upload_in, verified
from tailrace.uploads.s3 import S3Uploads
from tests.support.events import message_of

names = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(["local", "a/b", "a", f"a/{uuid.uuid4()}"])
owners = names.map(lambda name: Owner.named(name).id)
tasks = st.lists(st.uuids().map(str), max_size=3)


def upload(owner: str = "alice") -> Upload:
    return Upload.new(owner, 3, "ab" * 32)


def within(owner: str, tasks: list[str]) -> str:
    for task in tasks:
        owner = owner_within(owner, task)
    return owner


@given(owners, tasks)
def test_the_owner_and_what_is_asked_on_the_way_of_its_tasks_may_read(owner: str, tasks: list[str]) -> None:
    assert upload(owner).readable_by(within(owner, tasks))


@given(owners, owners, tasks)
def test_nobody_else_may_read(owner: str, other: str, tasks: list[str]) -> None:
    assume(not other.startswith(owner))
    assert not upload(owner).readable_by(within(other, tasks))


@given(owners, st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_a_name_that_goes_on_is_another_owner(owner: str, more: str) -> None:
    assert not upload(owner).readable_by(owner + more)


def test_a_task_reads_what_its_owner_has_and_not_the_other_way_round() -> None:
    assert not upload(owner_within("alice", str(uuid.uuid4()))).readable_by("alice")


@given(owners, st.integers(0, 2**40), st.binary(min_size=32, max_size=32), st.text(min_size=1), st.text(min_size=1))
def test_a_part_refers_to_what_it_was_made_of(owner: str, size: int, digest: bytes, name: str, media_type: str) -> None:
    made = Upload.new(owner, size, digest.hex())
    part = made.part(name, media_type)
    convert(to_json(part), UserPart)
    assert upload_in(part) == made
    assert (part.filename, part.media_type) == (name, media_type)


def test_a_reference_means_the_same_in_a2a_0_3() -> None:
    part = upload().part("x.log", "text/plain")
    message = to_json(v0_3.message_to_v0_3(message_of(part)))
    there_and_back = v0_3.params_from_v0_3("message/send", {"message": message})
    assert there_and_back["message"]["parts"] == [to_json(part)]


def test_a_reference_is_new_each_time_and_does_not_tell_the_owner() -> None:
    urls = {upload().url for _ in range(99)}
    assert len(urls) == 99
    assert not any("alice" in url for url in urls)


def test_a_part_without_a_url_is_no_upload() -> None:
    assert upload_in(Part(text="hi")) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://bucket.s3.amazonaws.com/key",
        "file:///etc/passwd",
        "",
        "urn:tailrace:upload:",
        f"urn:tailrace:upload:{'a' * 32}:../../secret",
        f"urn:tailrace:upload:{'A' * 32}:{'b' * 32}",
        f"urn:tailrace:upload:{'a' * 32}:{'b' * 32}\n",
        f"urn:tailrace:upload:{'a' * 32}:{'b' * 32}/..",
    ],
)
def test_no_url_makes_an_agent_fetch_anything(url: str) -> None:
    with pytest.raises(RequestError, match=r"'x\.log' has url '.*', which this agent does not fetch"):
        upload_in(replace(upload().part("x.log", "text/plain"), url=url))


@given(st.text())
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        found = upload_in(replace(upload().part("x.log", "text/plain"), url=text))
    except RequestError:
        return
    assert found is not None
    assert found.url == text


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {UPLOADS: None},
        {UPLOADS: {"size": 3}},
        {UPLOADS: {"size": "3", "sha256": "ab" * 32}},
        {UPLOADS: {"size": True, "sha256": "ab" * 32}},
        {UPLOADS: {"size": -1, "sha256": "ab" * 32}},
        {UPLOADS: {"size": 3, "sha256": "AB" * 32}},
        {UPLOADS: {"size": 3, "sha256": "../" * 32}},
    ],
)
def test_a_reference_that_says_too_little_is_refused_by_key(metadata: Any) -> None:
    with pytest.raises(RequestError, match=f"'x.log'.*{UPLOADS} must have its `size`.*`sha256`"):
        upload_in(replace(upload().part("x.log", "text/plain"), metadata=metadata))


def of(content: bytes) -> Upload:
    return Upload.new("alice", len(content), hashlib.sha256(content).hexdigest())


@given(st.lists(st.binary(max_size=20)), st.lists(st.binary(max_size=20)))
def test_only_what_was_promised_passes_to_the_end(promised: list[bytes], came: list[bytes]) -> None:
    expected = of(b"".join(promised))
    assert list(verified(promised, expected)) == promised
    if b"".join(came) != b"".join(promised):
        with pytest.raises(UploadDamaged, match=expected.url):
            list(verified(came, expected))


def test_what_is_longer_than_promised_is_not_read_to_its_end() -> None:
    came = iter([b"abc", b"d", b"never read"])
    with pytest.raises(UploadDamaged, match="more than 3 bytes, but must have 3"):
        list(verified(came, of(b"abc")))
    assert next(came) == b"never read"


def test_a_bucket_makes_it_s3_and_none_a_folder() -> None:
    assert isinstance(open_uploads(Settings(bucket="b")), S3Uploads)
    assert type(open_uploads(Settings())).__name__ == "FolderUploads"


def test_who_starts_and_uploads_nothing_does_not_load_what_speaks_to_s3() -> None:
    started = "import sys; import gateway.app as app; from tailrace.config import Settings; "
    started += "app.create_app(Settings(bucket='b', log='memory')); "
    started += "print(sorted(name for name in ('boto3', 'botocore', 's3transfer') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", started], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
