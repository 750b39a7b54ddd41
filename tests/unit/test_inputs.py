"""What a user sends, decoded or refused in a sentence."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import RequestError, RequestTooLarge, UploadDamaged, UploadUnknown
from tailrace.events import Part
from tailrace.inputs.decode import MAX_UNPACKED_BYTES, check, request_of
from tailrace.uploads import Grant, Upload, Uploads
from tests.support.events import message_of


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def of(*parts: dict[str, Any] | Part) -> Any:
    return request_of([message_of(*parts)])


def counted(*parts: dict[str, Any] | Part) -> Any:
    return check([message_of(*parts)], "alice")


def test_text_data_and_files_are_told_apart() -> None:
    request = of(
        {"text": "5xx since 14:03"},
        {"data": {"alert": {}}},
        {"text": "a,b\n", "filename": "m.csv", "mediaType": "text/csv"},
        {"raw": b64(b"line\n"), "filename": "x.log"},
    )
    assert (request.text, request.data) == ("5xx since 14:03", [{"alert": {}}])
    assert [(f.filename, f.media_type, f.text) for f in request.files] == [
        ("m.csv", "text/csv", "a,b\n"),
        ("x.log", "text/plain", "line\n"),
    ]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("web/app.log", "web/app.log"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("C:\\logs\\..\\app.log", "logs/app.log"),
        ("..", "file-1"),
        ("./...", "file-1"),
        ("...gz", "...gz"),
        ("a\0.log", "a.log"),
        (".env", ".env"),
    ],
)
@pytest.mark.parametrize("content", [{"text": "x"}, {"raw": b64(gzip.compress(b"x")), "mediaType": "application/gzip"}])
def test_a_file_s_name_never_leads_out_of_a_folder(given: str, name: str, content: dict[str, Any]) -> None:
    (file,) = of({**content, "filename": given}).files
    assert file.filename == name


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_gzip_is_undone(text: str) -> None:
    packed = gzip.compress(text.encode(errors="replace") + b"!")
    file = of({"raw": b64(packed), "filename": "x.log.gz", "mediaType": "application/gzip"}).files[0]
    assert (file.filename, file.media_type) == ("x.log", "text/plain")
    assert file.text.endswith("!")


def test_several_gzip_members_are_one_file() -> None:
    assert of({"raw": b64(gzip.compress(b"a\n") + gzip.compress(b"b\n"))}).files[0].text == "a\nb\n"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_file_or_a_refusal(content: bytes) -> None:
    with contextlib.suppress(RequestError):
        (file,) = of({"raw": b64(content), "filename": "f"}).files
        assert "\0" not in file.text[:8192]


def test_a_byte_order_mark_is_no_content() -> None:
    assert of({"raw": b64(b"\xef\xbb\xbfhi")}).files[0].text == "hi"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("media_type", ["text/plain", "application/octet-stream"])
def test_utf16_with_a_mark_is_text_and_becomes_utf8(encoding: str, pack: Any, media_type: str) -> None:
    text = "2026-11-20 09:00:00 ERROR Größe 🌊\r\n" * 9_000
    raw = b64(pack(("\ufeff" + text).encode(encoding)))
    (file,) = of({"raw": raw, "filename": "x.log", "mediaType": media_type}).files
    assert not file.binary
    assert file.text == text


def test_what_only_begins_like_utf16_is_binary() -> None:
    with pytest.raises(RequestError, match="binary"):
        of({"raw": b64(b"\xff\xfe\0\0A\0\0\0"), "filename": "utf-32"})


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"raw": "***", "filename": "x"}, "not base64"),
        ({"raw": b64(b"\x7fELF\0\0"), "filename": "x"}, "binary"),
        ({"raw": b64(gzip.compress(b"abc" * 100, mtime=0)[:-12]), "filename": "x"}, "cut short"),
        ({"raw": b64(b"\x1f\x8b" + b"junk" * 9), "filename": "x"}, "begins like gzip"),
        ({"raw": b64(gzip.compress(gzip.compress(b"a line\n" * 9, mtime=0))), "filename": "x"}, "binary"),
        ({"url": "http://169.254.169.254/", "filename": "x"}, "does not fetch"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(part: dict[str, Any], said: str) -> None:
    for read_with in (of, counted):
        with pytest.raises(RequestError, match=said) as refused:
            read_with(part)
        assert "'x'" in str(refused.value)


def test_a_bomb_of_zeros_stops_at_the_limit() -> None:
    for read_with in (of, counted):
        with pytest.raises(RequestTooLarge, match=f"unpacked, is too large; the limit is {MAX_UNPACKED_BYTES:,} bytes"):
            read_with({"raw": b64(gzip.compress(b"0" * (MAX_UNPACKED_BYTES + 1), 1)), "filename": "x"})


@given(
    st.lists(
        st.one_of(
            st.fixed_dictionaries(
                {"text": st.text(st.characters(codec="utf-8"), max_size=9), "filename": st.just("f")}
            ),
            st.binary(max_size=99).map(lambda content: {"raw": b64(content)}),
            st.binary(max_size=99).map(lambda content: {"raw": b64(gzip.compress(content))}),
            st.sampled_from([{"raw": "no base64"}, {"url": "https://example.com/x"}, {"data": None}]),
        ),
        max_size=4,
    )
)
def test_what_is_only_counted_is_refused_for_the_same_reasons(parts: list[dict[str, Any]]) -> None:
    def outcome(read_with: Any) -> str:
        try:
            read_with(*parts)
        except RequestError as error:
            return str(error)
        return "taken"

    assert outcome(counted) == outcome(of)


@pytest.mark.parametrize("members", [1, 7, 500, 60_000])
def test_a_file_of_any_number_of_members_is_unpacked_whole(members: int) -> None:
    content = b"".join(gzip.compress(b"%d\n" % n, 1) for n in range(members))
    assert of({"raw": b64(content)}).files[0].text == "".join(f"{n}\n" for n in range(members))


def test_ten_thousand_tiny_files_are_taken_and_one_more_is_not() -> None:
    parts = [{"text": "x", "filename": f"{n}"} for n in range(10_000)]
    assert len(of(*parts).files) == 10_000
    for read_with in (of, counted):
        with pytest.raises(RequestError, match="10,000"):
            read_with(*parts, {"text": "x", "filename": "last"})


# Uploads


class Shelf(Uploads):
    """A store in memory, which gives whatever was put there, in pieces."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    @property
    def id(self) -> str:
        return "shelf"

    def grant(self, upload: Upload) -> Grant:
        raise NotImplementedError

    def holds(self, upload: Upload) -> bool:
        return upload.key in self.held

    def read(self, upload: Upload) -> Iterator[bytes]:
        if upload.key not in self.held:
            raise UploadUnknown(upload.url)
        content = self.held[upload.key]
        yield from (content[at : at + 1000] for at in range(0, len(content), 1000))

    def of(self, owner: str) -> list[Upload]:
        raise NotImplementedError

    def delete(self, upload: Upload) -> None:
        raise NotImplementedError

    def part(self, content: bytes, name: str = "x.log", *, owner: str = "alice", instead: bytes | None = None) -> Any:
        """The part that refers to an upload; `instead` is what the store holds in fact."""
        upload = Upload.new(owner, len(content), hashlib.sha256(content).hexdigest())
        self.held[upload.key] = content if instead is None else instead
        return upload.part(name, "application/gzip" if name.endswith(".gz") else "text/plain")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def read(shelf: Shelf, *parts: dict[str, Any] | Part, owner: str = "alice") -> Any:
    return request_of([message_of(*parts)], owner, shelf)


@pytest.mark.parametrize("name", ["x.log", "x.log.gz"])
def test_an_upload_is_a_file_like_any_other(shelf: Shelf, name: str) -> None:
    text = "a line é\n" * 5000
    content = text.encode() if name == "x.log" else gzip.compress(text.encode())
    part = shelf.part(content, name)
    (file,) = read(shelf, part).files
    assert (file.filename, file.media_type, file.text) == ("x.log", "text/plain", text)
    assert file.reference == part


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x7fELF\0\0", "binary"),
        (gzip.compress(b"abc" * 100, mtime=0)[:-12], "cut short"),
        (b"\x1f\x8b" + b"junk" * 9, "begins like gzip"),
    ],
)
def test_an_upload_that_cannot_be_used_is_refused_as_if_it_had_come_inline(
    shelf: Shelf, content: bytes, said: str
) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        read(shelf, shelf.part(content))
    assert "'x.log'" in str(refused.value)


def test_an_uploaded_bomb_stops_at_the_limit(shelf: Shelf) -> None:
    with pytest.raises(RequestTooLarge, match=f"unpacked, is too large; the limit is {MAX_UNPACKED_BYTES:,} bytes"):
        read(shelf, shelf.part(gzip.compress(b"0" * (MAX_UNPACKED_BYTES + 1), 1)))


def test_files_and_uploads_share_one_limit(shelf: Shelf) -> None:
    half = gzip.compress(b"0" * (MAX_UNPACKED_BYTES // 2), 1)
    assert len(read(shelf, shelf.part(half), {"raw": b64(half)}).files) == 2
    with pytest.raises(RequestTooLarge):
        read(shelf, shelf.part(half), {"raw": b64(half)}, {"text": "x", "filename": "straw"})
    with pytest.raises(RequestTooLarge):
        of(*(Upload.new("alice", MAX_UNPACKED_BYTES // 2, "ab" * 32).part("x", "text/plain") for _ in range(3)))


@pytest.mark.parametrize("content", [b"a line\n" * 500, gzip.compress(bytes(range(1, 256)) * 500)])
@given(data=st.data())
def test_what_was_damaged_is_never_read(content: bytes, data: st.DataObject) -> None:
    shelf = Shelf()
    at = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.sampled_from([b"", content[at + 1 :], content[at:], content]))
    instead = content[:at] + data.draw(st.binary(max_size=2)) + end
    part = shelf.part(content, instead=instead)
    if instead == content:
        assert read(shelf, part).files
    else:
        with pytest.raises(UploadDamaged):
            read(shelf, part)


def test_somebody_elses_upload_is_as_unknown_as_one_that_never_was(shelf: Shelf) -> None:
    part = shelf.part(b"content")
    task = str(uuid.uuid4())
    assert read(shelf, part, owner=f"alice/{task}").files
    for owner in ("bob", "", "alice2", f"bob/{task}"):
        with pytest.raises(UploadUnknown) as refused:
            read(shelf, part, owner=owner)
        with pytest.raises(UploadUnknown, match=re.escape(str(refused.value))):
            request_of([message_of(part)], owner)
    shelf.held.clear()
    with pytest.raises(UploadUnknown, match=re.escape(str(refused.value))):
        read(shelf, part)


def test_nobody_is_given_an_upload_without_a_name(shelf: Shelf) -> None:
    with pytest.raises(UploadUnknown):
        request_of([message_of(shelf.part(b"content"))], None, shelf)


def test_two_hundred_uploads_are_taken_and_one_more_is_not(shelf: Shelf) -> None:
    parts = [shelf.part(b"x") for _ in range(201)]
    assert len(read(shelf, *parts[:200]).files) == 200
    with pytest.raises(RequestError, match="201 uploads, but may have 200"):
        of(*parts)
