"""What a store compresses is read again whatever it is, also by zlib and from zlib, and never misread."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.stores import compression

REPEATED = st.builds(lambda piece, times: piece * times, st.binary(max_size=300), st.integers(0, 200))
PLAIN = st.binary(max_size=5_000) | REPEATED


@given(PLAIN)
def test_what_is_compressed_is_read_again_also_by_zlib(plain: bytes) -> None:
    compressed = compression.compress(plain)
    assert compressed.startswith(compression.FIRST_BYTE)
    assert compression.decompress(compressed) == zlib.decompress(compressed) == plain


@given(PLAIN, st.integers(0, 9))
def test_what_zlib_has_compressed_is_read(plain: bytes, level: int) -> None:
    assert compression.decompress(zlib.compress(plain, level)) == plain


@given(PLAIN)
def test_bytes_are_only_compressed_where_that_makes_them_smaller(plain: bytes) -> None:
    compressed = compression.compress_if_smaller(plain)
    assert compressed is None or len(compressed) < len(plain)


def test_a_batch_of_events_becomes_smaller() -> None:
    assert compression.compress_if_smaller(b'{"statusUpdate":{"taskId":"1"}}' * 100) is not None


@given(PLAIN, st.data())
def test_compressed_bytes_that_were_cut_short_are_refused(plain: bytes, data: st.DataObject) -> None:
    compressed = compression.compress(plain)
    with pytest.raises(compression.Damaged):
        compression.decompress(compressed[: data.draw(st.integers(0, len(compressed) - 1))])


@given(PLAIN, st.data())
def test_compressed_bytes_that_were_changed_are_never_misread(plain: bytes, data: st.DataObject) -> None:
    compressed = bytearray(compression.compress(plain))
    place = data.draw(st.integers(0, len(compressed) - 1))
    compressed[place] ^= data.draw(st.integers(1, 255))
    try:
        found = compression.decompress(bytes(compressed))
    except compression.Damaged:
        return
    assert found == plain  # some bits of the header mean nothing


@given(st.binary(max_size=2_000))
def test_bytes_that_nobody_has_compressed_do_no_harm(damaged: bytes) -> None:
    try:
        compression.decompress(compression.FIRST_BYTE + damaged)
    except compression.Damaged:
        return
