"""The one error of this package. It does not use the library's, which may not be installed."""

from __future__ import annotations


class StartError(Exception):
    """What was asked for was not done, and nothing was changed. The text says why, and what would be right."""
