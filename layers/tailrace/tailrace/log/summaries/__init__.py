"""Summaries of tasks' events, kept beside the log, so that a new attempt need not read a long log from its start."""

from tailrace.log.summaries.base import Summaries, Summary

__all__ = ["Summaries", "Summary"]
