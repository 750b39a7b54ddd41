"""The job that causes the outage: new prices for every product, in one long transaction.

`python -m local.recording.reprice FILE` counts each product's sales to set its price. Nothing indexes the order
lines by product, so each count reads all of them, and the transaction keeps SQLite's only write lock until it
commits, or until SIGTERM rolls it back. This takes one core, and several minutes if nobody stops it.
"""

import signal
import sys
import time
from types import FrameType

from local.recording.database import ORDER_LINES, PRODUCTS, connect
from local.recording.lines import write

BATCH = 20
REPORT_SECONDS = 5.0
REPRICE = """
UPDATE products
SET cents = cents + (SELECT count(*) FROM order_lines WHERE order_lines.product = products.id)
WHERE id > ? AND id <= ?
"""
stopped = False


def stop(signum: int, frame: FrameType | None) -> None:
    global stopped
    stopped = True


def main() -> None:
    signal.signal(signal.SIGTERM, stop)
    base = connect(sys.argv[1])
    started = reported = time.monotonic()
    todo = f"{PRODUCTS} products, one transaction, {ORDER_LINES} order lines"
    base.execute("BEGIN IMMEDIATE")
    write("reprice", "info", f"reprice started: {todo}")
    for done in range(0, PRODUCTS, BATCH):
        now = time.monotonic()
        seconds = round(now - started, 1)
        if stopped:
            base.execute("ROLLBACK")
            text = f"reprice stopped by SIGTERM after {seconds} s: {done} of {PRODUCTS} products rolled back"
            write("reprice", "warning", text, seconds=seconds)
            return
        if now - reported >= REPORT_SECONDS:
            reported = now
            write("reprice", "info", f"reprice: {done} of {PRODUCTS} products in {seconds} s", seconds=seconds)
        base.execute(REPRICE, (done, done + BATCH))
    base.execute("COMMIT")
    write("reprice", "info", f"reprice finished: {PRODUCTS} products in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
