"""The gateway as a Lambda function."""

from __future__ import annotations

from dataclasses import replace

from mangum import Mangum

from gateway.app import create_app
from gateway.owner import digest_owner, local_owner
from tailrace.aws import VIEWER_HOST, on_sam_local
from tailrace.config import Settings
from tailrace.registry import registered

# `sam local` sends a response only when it is complete, so a stream is one short window after another. Its containers
# take long to start: a window dispatches a task again only if it has not begun for so long.
_WINDOW_S, _BEGINS_S = 10.0, 60.0

settings = Settings.load()
if on_sam_local():
    settings = replace(settings, window_s=_WINDOW_S, quiet_s=0.0, lease_s=_BEGINS_S)
    registered(settings)  # before a window begins, which would be over before the task's agent is known
    app = create_app(settings, decide_owner=local_owner)
else:
    app = create_app(settings, decide_owner=digest_owner(settings.access_digest), host_header=VIEWER_HOST)
handler = Mangum(app, lifespan="off")
