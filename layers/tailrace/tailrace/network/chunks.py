"""The chunks of a response's body, taken off the beginning of what came (RFC 9112, section 7.1).

Only whole and small ones. Anything else is for a parser of HTTP: the last chunk, trailers, extensions, large chunks,
and what is no chunk at all.
"""

from __future__ import annotations

import re

# A size of up to four digits: such a chunk has room in a connection's buffer.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,4})\r\n")
# As much of one as may have come before the rest.
_SIZE_BEGUN = re.compile(rb"[0-9A-Fa-f]{0,4}\r?")


def take_chunks(received: bytearray) -> bytes | None:
    """Take the whole chunks at the beginning, and return their data, all in one.

    It is empty if the next chunk has not come as a whole, and None if that is not for here.
    """
    pieces: list[bytearray] = []  # `list[bytearray]()` takes ten times as long
    at = 0
    while (size := _SIZE.match(received, at)) is not None:
        start = size.end()
        end = start + int(size[1], 16)
        if end == start or received[end : end + 2] != b"\r\n":
            break
        pieces.append(received[start:end])
        at = end + 2
    if pieces:
        del received[:at]
        return b"".join(pieces)
    if size is None:
        return b"" if _SIZE_BEGUN.fullmatch(received) else None
    return b"" if start < end and len(received) < end + 2 else None
