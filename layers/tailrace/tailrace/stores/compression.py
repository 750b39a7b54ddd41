"""Compression of what is stored, in zlib's format, by ISA-L.

ISA-L makes a batch of events as small as Python's zlib does, in a fraction of its time, and reads it faster too
(docs/PERFORMANCE.md). Each of them reads what the other has written.
"""

from __future__ import annotations

from isal import isal_zlib

# The first byte of what `compress` returns. No JSON text begins with it.
FIRST_BYTE = b"\x78"
# Of 0 to 3. Higher levels save little more, and 0 leaves half as much again.
_LEVEL = 1
# A write unit of DynamoDB is 1 KB: below that, compressing saves nothing and costs time.
_WORTH_COMPRESSING = 1024

# What `decompress` raises for bytes that are damaged.
Damaged: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub takes it for an instance


def compress(plain: bytes) -> bytes:
    """The bytes, compressed."""
    return isal_zlib.compress(plain, _LEVEL)


def compress_if_smaller(plain: bytes) -> bytes | None:
    """The bytes, compressed; None if that would save nothing."""
    if len(plain) <= _WORTH_COMPRESSING:
        return None
    compressed = compress(plain)
    return compressed if len(compressed) < len(plain) else None


def decompress(compressed: bytes) -> bytes:
    """The bytes that were compressed.

    Raises:
        Damaged: these are not such bytes, or not all of them.
    """
    return isal_zlib.decompress(compressed)
