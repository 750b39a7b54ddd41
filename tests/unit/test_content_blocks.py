"""What a user sends as the content of a chat message, and the files as blocks and bytes."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage, convert_to_openai_messages

from tailrace.errors import RequestError, RequestTooLarge
from tailrace.inputs.decode import check, request_of
from tailrace.inputs.gzip import MAX_UNPACKED_BYTES
from tailrace.inputs.request import MAX_BLOCK_BYTES, Data, File, content_of
from tests.support.events import message_of

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
ALL = ("*/*",)


def raw(content: bytes, media_type: str | None, name: str = "f") -> dict[str, Any]:
    return {"raw": base64.b64encode(content).decode(), "mediaType": media_type, "filename": name}


def file(part: dict[str, Any], modes: tuple[str, ...] | None = ALL) -> File:
    message = message_of(part)
    check([message], "alice", modes)
    return request_of([message], modes=modes).files[0]


def test_each_part_is_a_block_in_the_users_order() -> None:
    request = request_of(
        [
            message_of(
                {"text": "Compare this:"},
                raw(PNG, "image/png"),
                {"text": "with"},
                raw(b"%PDF\0", "application/pdf", "b.pdf"),
                raw(b"ID3\0", "audio/mpeg"),
                {"text": "one\ntwo", "filename": "a.log"},
                {"data": {"k": "é"}},
            )
        ]
    )
    assert request.content == [
        {"type": "text", "text": "Compare this:"},
        {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"},
        {"type": "text", "text": "with"},
        {
            "type": "file",
            "base64": base64.b64encode(b"%PDF\0").decode(),
            "mime_type": "application/pdf",
            "extras": {"filename": "b.pdf"},
        },
        {"type": "audio", "base64": base64.b64encode(b"ID3\0").decode(), "mime_type": "audio/mpeg"},
        {"type": "text", "text": "File a.log:\n\none\ntwo"},
        {"type": "text", "text": '{"k": "é"}'},
    ]
    # They are LangChain's standard blocks: it converts them for a provider, here OpenAI.
    (sent,) = convert_to_openai_messages([HumanMessage(request.content)])
    assert [each["type"] for each in sent["content"]] == [
        "text",
        "image_url",
        "text",
        "file",
        "input_audio",
        "text",
        "text",
    ]


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        (["one", "two"], "one\ntwo"),
        ([" "], ""),
        ([], ""),
        ([Data({"a": 1})], '{"a": 1}'),
        ([" ", Data(None)], "null"),
        (["a\ud800"], "a?"),
        ([Data("\ud800")], '"?"'),
    ],
)
def test_text_alone_is_a_plain_text(parts: list[Any], content: str) -> None:
    assert content_of(parts) == content


def test_a_file_that_does_not_fit_is_named_and_smaller_ones_after_it_are_shown() -> None:
    large = file(raw(b"x" * (MAX_BLOCK_BYTES - 9), "text/plain", "large.log"))
    request = request_of([message_of(raw(PNG, "image/png"), raw(large.bytes(), None, "large.log"), raw(b"hi", None))])
    image, named, small = request.content
    assert (image["type"], small["text"]) == ("image", "File f:\n\nhi")
    assert named["text"] == "File large.log (text/plain, 3,999,991 bytes) is too large to be shown here."
    assert large.block()["text"] == f"File large.log:\n\n{large.text}"  # a node may show it all the same


@given(st.binary(max_size=300))
def test_a_binary_file_is_what_was_sent_byte_for_byte(content: bytes) -> None:
    for media_type in ("image/png", "application/zip", "application/x-custom"):
        binary = file(raw(content, media_type))
        assert (binary.bytes(), binary.binary, binary.media_type, binary.size) == (
            content,
            True,
            media_type,
            len(content),
        )
        assert base64.b64decode(binary.block()["base64"]) == content


def test_a_binary_file_keeps_its_beginning_and_is_not_unpacked() -> None:
    for content in (b"\xef\xbb\xbf\0", gzip.compress(b"text")):
        assert file(raw(content, "image/png")).bytes() == content


@pytest.mark.parametrize(
    ("media_type", "modes", "words"),
    [
        ("image/png", ("text/plain",), "A part has mediaType 'image/png'; this agent takes text/plain."),
        ("image/png", ("image/jpeg", "text/*"), "this agent takes image/jpeg, text/*"),
        (None, ("text/plain", "image/png"), "is binary; give its mediaType, one of text/plain, image/png"),
        (None, ALL, r"is binary; give its mediaType, one of \*/\*"),
        ("application/octet-stream", ("text/plain",), "is binary; give its mediaType, one of text/plain"),
        ("text/csv", ALL, "is binary; text/csv must be text, plain or gzipped"),
        ("application/gzip", ALL, "is binary; application/gzip must be text"),
    ],
)
def test_a_binary_file_of_a_type_that_the_card_does_not_name_is_refused(
    media_type: str | None, modes: tuple[str, ...], words: str
) -> None:
    for read in (lambda each: request_of(each, modes=modes), lambda each: check(each, "alice", modes)):
        with pytest.raises(RequestError, match=words):
            read([message_of(raw(PNG, media_type))])


@pytest.mark.parametrize("modes", [("image/*",), ("image/png", "text/plain"), ALL, None])
def test_a_binary_file_of_a_type_that_the_card_names_is_taken(modes: tuple[str, ...] | None) -> None:
    assert file(raw(PNG, "Image/PNG; q=1"), modes).media_type == "image/png"


def test_an_unknown_type_is_what_the_content_looks_like() -> None:
    unknown = "application/octet-stream"
    assert [file(raw(each, unknown)).binary for each in (b"a log", PNG, gzip.compress(b"a log"))] == [
        False,
        True,
        False,
    ]
    assert file(raw(b"a log", unknown), ("text/plain",)).text == "a log"


def test_binary_files_count_towards_the_limit() -> None:
    half = raw(b"\1" * (MAX_UNPACKED_BYTES // 2 + 1), "image/png")
    for read in (request_of, lambda messages: check(messages, "alice")):
        with pytest.raises(RequestTooLarge):
            read([message_of(half, half)])


def test_a_request_knows_its_conversation_and_its_metadata() -> None:
    first, reply = message_of({"text": "a"}, message_id="1"), message_of({"text": "b"}, message_id="2")
    first.context_id = reply.context_id = "c"
    first.metadata, reply.metadata = {"user": "u", "tone": "dry"}, {"tone": "warm"}
    first.reference_task_ids, reply.reference_task_ids = ["t1"], ["t2", "t1"]
    request = request_of([first, reply], "alice")
    assert (request.context_id, request.owner, request.message_id) == ("c", "alice", "2")
    assert request.metadata == {"user": "u", "tone": "warm"}
    assert request.reference_tasks == ["t1", "t2"]
    bare = request_of([message_of({"text": "a"})])
    assert (bare.context_id, bare.owner, bare.metadata, bare.reference_tasks) == ("", "", {}, [])
