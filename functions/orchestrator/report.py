from __future__ import annotations


def report(alert, answers, findings):
    yield "## draft\n"
