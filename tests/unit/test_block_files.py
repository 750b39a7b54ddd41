"""Blocks of a message that are files: with their content in any of its shapes, a type and a name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from langchain_core.messages import AIMessage, ToolMessage

from tailrace.agent.block_files import BlockFile, blocks_of, file_of, is_file
from tailrace.agent.callbacks import shown_content

PNG = "iVBORw0KGgoAAAAN"


def in_message(block: dict[str, Any]) -> Any:
    """The block as LangChain reads it."""
    (read,) = AIMessage([block]).content_blocks
    return read


@pytest.mark.parametrize(
    ("block", "file"),
    [
        ({"base64": "AAAA", "mime_type": "image/png"}, BlockFile("image", "image/png", "AAAA")),
        ({"base64": "AA\nAA"}, BlockFile("image", "application/octet-stream", "AAAA")),
        ({"base64": PNG}, BlockFile("image", "image/png", PNG)),
        ({"base64": "/9j/AAAA"}, BlockFile("image", "image/jpeg", "/9j/AAAA")),
        (
            {"url": "https://example.com/a.webp?size=1"},
            BlockFile("image", "image/webp", url="https://example.com/a.webp?size=1"),
        ),
        ({"url": "data:image/gif;base64,AAAA"}, BlockFile("image", "image/gif", "AAAA")),
        ({"url": f"data:;base64,{PNG}"}, BlockFile("image", "image/png", PNG)),
        ({"base64": "data:image/gif;base64,AAAA"}, BlockFile("image", "image/gif", "AAAA")),
        ({"type": "file", "url": "DATA:text/csv;charset=utf-8,a%2Cb"}, BlockFile("file", "text/csv", "YSxi")),
        (
            {"type": "file", "base64": "AAAA", "mime_type": "text/csv", "filename": "../a.csv"},
            BlockFile("file", "text/csv", "AAAA", filename="a.csv"),
        ),
        (
            {"type": "file", "base64": "AAAA", "mime_type": "text/csv", "filename": "a/.."},
            BlockFile("file", "text/csv", "AAAA", filename="a"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            BlockFile("file", "application/pdf", "AAAA", filename="a.pdf"),
        ),
        ({"base64": "a picture!"}, None),
        ({"url": "data:image/png;base64,a picture!"}, None),
        ({"url": "data:image/png;base64,"}, None),
        ({"url": "data:image/gif;BASE64,AA%3D%3D"}, BlockFile("image", "image/gif", "AA==")),
        ({"type": "file", "url": "data:text/csv,a\ud83c"}, BlockFile("file", "text/csv", "YT8=")),
    ],
    ids=str,
)
def test_a_block_is_a_file_with_its_content_its_type_and_its_name(
    block: dict[str, Any], file: BlockFile | None
) -> None:
    read = in_message({"type": "image", **block})
    assert is_file(read)
    assert file_of(read) == file


@pytest.mark.parametrize("content", [{"type": "image", "source_type": "base64"}, {"type": ["text"], "text": "a"}])
def test_a_block_that_langchain_cannot_read_stays_as_it_is(content: dict[str, Any]) -> None:
    (read,) = blocks_of(AIMessage([content]))
    assert not is_file(read)
    assert read["value"] == content
    assert shown_content(ToolMessage([content], tool_call_id="1")) == (msgspec.json.encode(content).decode(), None)


@pytest.mark.parametrize("block", [{"type": "text", "text": "a"}, {"type": "image", "file_id": "1"}, {"type": "other"}])
def test_what_has_no_content_and_no_url_is_no_file(block: dict[str, Any]) -> None:
    assert not is_file(in_message(block))


def test_a_file_s_size_is_that_of_its_content() -> None:
    assert [BlockFile("file", "text/plain", each).size for each in ("YQ==", "YWI=", "YWJj", "YQ")] == [1, 2, 3, 1]
