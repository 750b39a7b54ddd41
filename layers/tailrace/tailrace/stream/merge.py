"""The merge: how a reader that hears of events from the log and from a pipe gets each once, in order.

A reader emits in dense order: the next event it sends is always `last + 1`. What a pipe repeats it drops;
what a pipe skips it reads from the log, where every event is before anybody hears of it.
"""

from __future__ import annotations

from tailrace.log import Batch


def merge(last: int, offered: Batch) -> Batch | None:
    """What of `offered` a reader that has seen `last` may send next.

    Returns an empty batch when all of it was seen before, and None when something is missing in between:
    then the log has to be read from `last`, which brings `offered` as well.
    """
    if offered.last <= last:
        return Batch(last + 1, offered.attempt, ())
    if offered.seq > last + 1:
        return None
    return offered.after(last)
