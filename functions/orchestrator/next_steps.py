"""What to look at next: what an engineer on call would check, from what the incident's findings speak of."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from orchestrator.synthesis import Incident
from triage.findings import Finding

_MOST = 5

# A pattern in a finding's words, and what is worth a look when it is there. In order of how much they narrow down.
_HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"out of memory|oom|cannot allocate"),
        "the memory limit of the process that was killed, and what it held before",
    ),
    (re.compile(r"no space left|disk full|enospc"), "what fills the disk, and what rotates it"),
    (
        re.compile(r"connection refused|connect\(\) failed|econnrefused"),
        "whether the process behind the refused address runs: its last log lines and exit code",
    ),
    (
        re.compile(r"locked|deadlock|lock wait"),
        "who holds the lock: long transactions and batch jobs that began shortly before",
    ),
    (re.compile(r"pool|too many connections|exhausted"), "what holds the pool's connections, and for how long"),
    (re.compile(r"no live upstreams|upstream|502|504"), "the upstream behind the proxy: its health and latency"),
    (re.compile(r"timed? ?out|timeout|deadline"), "what the timed-out call waited for"),
    (re.compile(r"certificate|tls|x509"), "the certificate's dates and chain"),
    (re.compile(r"no such host|name resolution|nxdomain|dns"), "the resolver, and the name's records"),
    (re.compile(r"permission denied|forbidden|unauthorized|401|403"), "what changed in credentials or permissions"),
    (
        re.compile(r"restart|started|starting|listening|shutdown|stopping"),
        "why it was restarted, and what came with it",
    ),
    (re.compile(r"rss|memory|heap"), "what the memory is held by: compare with the last release"),
)


def next_steps(incident: Incident) -> list[str]:
    """Up to five things to look at, the most telling first. Never empty."""
    steps = [f"What changed just before {_clock(incident.start)}: a release, a job, a setting, a dependency."]
    for pattern, look in _HINTS:
        shown_by = next((finding for finding in incident.all if pattern.search(_text(finding))), None)
        if shown_by is not None:
            steps.append(f"{look[0].upper()}{look[1:]} (shown by {_name(shown_by)}).")
    silent = [finding for finding in incident.all if finding.type in ("gone", "flat_line")]
    if silent:
        steps.append(f"Why {_name(silent[0])} fell silent: the source itself may be down.")
    return steps[:_MOST]


def _text(finding: Finding) -> str:
    return f"{finding.subject} {finding.example}".lower()


def _name(finding: Finding) -> str:
    subject = " ".join(finding.subject.split()).replace("`", "'")
    return f"`{subject if len(subject) <= 70 else subject[:69] + '…'}`"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
