"""Does work take time that grows faster than its input? Measured in CPU seconds of this thread, sizes four times each.

Four times the input is four times the work where the work is linear, and sixteen times where it is quadratic. The
bound lies in the middle: beside other processes, what no longer fits into a processor's cache takes longer. What looks
too slow is measured again, both sizes in turn, and the best of each counts.
Garbage collection is off meanwhile: its time depends on the heap of the whole process, not on the input.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable

from hypothesis import strategies as st

_TIMES_LARGER, _TIMES_SLOWER = 4, 8
# Shorter times cannot be measured.
_FLOOR_S = 0.000_4
_AGAIN = 20

# What the analysts' parsers know, and what they might stumble over. A unit is repeated, so it need not be long.
_PIECES = [
    *"aAz019_-+.,:;/\\|@#%=&?\"'`()[]{}<>~^$* \t\r",
    *(
        "é",
        "µ",
        "٣",
        "\u2028",
        "\ufeff",
        "\x1b",
        "\0",
        "0x",
        "1e",
        "e1",
        "1.",
        ".1",
        "1,",
        "1:",
        "a1",
        "_1",
        "/a",
        "a/",
    ),
    *('\\"', "://", "a@", "a.", "..", "--", "  ", '""', "''", ", ", "a=", "<1>", "[a", "\x1b[", "null", "nan", "2024"),
    *("2024-01-01T00:00:00Z ", "Jan  1 00:00:00 h a: ", '- - [01/Jan/2024:00:00:00 +0000] "', "10:00:00", "status=5"),
    *("<1>1 - - - - - [", '{"a":', '{"msg":"', "Caused by: ", "Traceback (most recent", "/var/log", "_total", " per s"),
]
LINES = st.tuples(
    st.lists(st.sampled_from(_PIECES), max_size=2).map("".join),
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=3).map("".join),
    st.lists(st.sampled_from(_PIECES), max_size=2).map("".join),
)
FILES = st.tuples(
    st.lists(st.sampled_from([*_PIECES, "\n", "time,a\n", "a,b\nx,"]), max_size=3).map("".join),
    st.lists(st.sampled_from([*_PIECES, "\n", ",", "1,", "{i}"]), min_size=1, max_size=4).map("".join),
    st.lists(st.sampled_from([*_PIECES, "\n"]), max_size=2).map("".join),
)
Shape = tuple[str, str, str]


def assert_linear(work: Callable[[str], object], shape: Shape, *, smallest: int = 50, largest: int = 12_800) -> None:
    """Fail if four times as many units between the shape's two ends take more than eight times as long."""
    before = 0.0
    size = smallest
    while size <= largest:
        spent = _spent(work, text_of(shape, size))
        if spent > max(_FLOOR_S, _TIMES_SLOWER * before) and size > smallest:
            small, large = text_of(shape, size // _TIMES_LARGER), text_of(shape, size)
            before = math.inf
            for _ in range(_AGAIN):
                before, spent = min(before, _spent(work, small)), min(spent, _spent(work, large))
            assert spent <= max(_FLOOR_S, _TIMES_SLOWER * before), (
                f"{len(small):,} characters take {before * 1000:.2f} ms, {len(large):,} take {spent * 1000:.2f} ms"
            )
        before = spent
        size *= _TIMES_LARGER


def text_of(shape: Shape, size: int) -> str:
    """A text of about `size` characters: the first part, the second repeated, and the last."""
    first, unit, last = shape
    count = max(1, size // len(unit))
    middle = "".join(unit.replace("{i}", str(i)) for i in range(count)) if "{i}" in unit else unit * count
    return f"{first}{middle}{last}"


def _spent(work: Callable[[str], object], text: str) -> float:
    gc.disable()
    try:
        begun = time.thread_time()
        work(text)
        return time.thread_time() - begun
    finally:
        gc.enable()
