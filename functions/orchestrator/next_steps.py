"""What to look at next: what an engineer on call would check, given the words in the incident's findings."""

from __future__ import annotations

import re

from orchestrator.synthesis import Event
from triage.findings import Finding
from triage.markdown import code
from triage.times import clock

_MOST = 5

# A pattern in a finding's words, and what to look at if it occurs. The most specific come first.
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
    (re.compile(r"rss|memory|heap"), "what holds the memory: compare with the last release"),
)


def next_steps(incident: Event) -> list[str]:
    """Return one to five sentences, the most useful first."""
    steps = [f"What changed just before {clock(incident.start, date=True)}: a release, a job, a setting, a dependency."]
    for pattern, step in _HINTS:
        finding = next((finding for finding in incident.all if pattern.search(_text(finding))), None)
        if finding is not None:
            steps.append(f"{step[0].upper()}{step[1:]} (see {code(finding.subject)}).")
    silent = [finding for finding in incident.all if _is_silent(finding)]
    if silent:
        steps.append(f"Why {code(silent[0].subject)} fell silent: its source may be down, or waits.")
    return steps[:_MOST]


def _is_silent(finding: Finding) -> bool:
    return finding.type == "gone" or (finding.type == "flat_line" and finding.evidence.get("kind") == "missing")


def _text(finding: Finding) -> str:
    return f"{finding.subject} {finding.example}".lower()
