"""A function with hooks around its snapshot."""

import os
import random

import uuid_utils
from snapshot_restore_py import register_after_restore, register_before_snapshot

DONE = []
random.seed(1)  # every environment has this state in its snapshot
reseed = uuid_utils.reseed_rng
uuid_utils.reseed_rng = lambda: (reseed(), DONE.append("uuid_utils"))


@register_before_snapshot
def run_last():
    DONE.append("before 1")


register_before_snapshot(DONE.append, "before 2")
register_after_restore(DONE.append, "after 1")


@register_after_restore
def fail_after():
    DONE.append("after 2")
    if os.environ.get("FAIL") == "after":
        raise LookupError("no database")


@register_before_snapshot
def fail_before():
    if os.environ.get("FAIL") == "before":
        raise LookupError("no database")


def handler(event, context):
    return {"done": DONE, "random": random.random()}
