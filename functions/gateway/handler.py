"""The gateway as a Lambda function."""

from __future__ import annotations

from dataclasses import replace

from mangum import Mangum

from gateway.app import create_app
from gateway.guard import VIEWER_HOST
from gateway.owner import local_owner, secret_owner
from tailrace.aws import on_sam_local
from tailrace.config import Settings

# `sam local` sends a response only when it is complete, so a stream is one short window after another.
_WINDOW_S = 10.0

settings = Settings.load()
if on_sam_local():
    settings = replace(settings, window_s=_WINDOW_S)
    app = create_app(settings, decide_owner=local_owner)
else:
    app = create_app(settings, decide_owner=secret_owner(settings.access_secret), host_header=VIEWER_HOST)
handler = Mangum(app, lifespan="off")
