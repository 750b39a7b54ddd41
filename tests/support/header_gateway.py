"""The gateway as a module whose process a test can kill. The header `x-test-owner` says who asks."""

from __future__ import annotations

from gateway.app import create_app
from tailrace.config import Settings
from tests.support.gateway import header_owner

app = create_app(Settings.load(), decide_owner=header_owner)
