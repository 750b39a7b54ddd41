# mypy: disable-error-code="import-untyped,import-not-found"
"""`python produce.py SEED COUNT`: gives Celery tasks to do, as they come."""

from __future__ import annotations

import random
import sys
import time

import tasks

rng = random.Random(int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    number, what = rng.randrange(10**5), rng.random()
    if what < 0.4:
        tasks.invoice.apply_async((number, f"c{number % 400}"), retry=False)
    elif what < 0.7:
        tasks.mail.apply_async((number, rng.choice(("mx1", "mx2", "relay.example"))), retry=False)
    elif what < 0.97:
        tasks.archive.apply_async((number, number * 7), retry=False)
    else:
        tasks.app.send_task("tasks.vanished", (number,), retry=False)
    time.sleep(min(rng.expovariate(1 / 0.5), 3))
