"""What kind of change a finding is.

Of changes that began at the same time, as far as the samples tell, the cause is rather one that somebody made, or one
of a resource, than an error, and an error rather than what users feel.
"""

from __future__ import annotations

import re
from enum import IntEnum

from triage.findings import Finding

LOG_TYPES = ("new_template", "burst", "rare", "gone", "trend")
METRIC_TYPES = ("level_shift", "spike", "drift", "flat_line")


class Kind(IntEnum):
    """From what causes others to what is caused by others."""

    TRIGGER = 0  # something was started, stopped or changed
    RESOURCE = 1  # a resource, or a process that is silent
    ERROR = 2
    EFFECT = 3  # what users feel: failed, slow or missing requests


_TRIGGER = re.compile(
    r"\b(re)?start(s|ed|ing|up)?\b|\bstop(s|ped|ping)?\b|shut(ting)? ?down|deploy|releas|migrat|roll(ed|ing|s)? ?back|"
    r"upgrad|re-?load|config(uration)? (changed|updated)|sig(term|kill|int|hup)\b|\bkilled\b|out of memory|\boom\b|"
    r"failover|elected|scaled",
    re.IGNORECASE,
)
# A request of an access log: its template, or several with one status.
_REQUESTS = re.compile(r"^(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|\(other\)) .*\b\d{3}$|^\d{3} on \d+ routes$")
_NEWCOMER = re.compile(r"(?:host|caller) \S+$")
_USERS = re.compile(
    r"[45]\d\d|[45]xx|error|fail|latency|duration|response|(^|_)p\d\d|request|rps|qps|availab|success|connections_active|"
    r"checkout|order|revenue",
    re.IGNORECASE,
)
_RESOURCES = re.compile(
    r"cpu|load|mem|rss|heap|\bgc|disk|inode|iops|io_|pool|thread|queue|backlog|lag|lock|fd|file_desc|socket|swap|"
    r"replica|cache|worker|database|db_|conn",
    re.IGNORECASE,
)


def kind_of(finding: Finding) -> Kind:
    """Return the kind of a finding, by its type and the words of its subject."""
    subject = finding.subject
    if finding.type in LOG_TYPES:
        if _NEWCOMER.match(subject):
            return Kind.TRIGGER
        if _REQUESTS.search(subject) or finding.type == "gone" or subject == "all ordinary lines":
            return Kind.EFFECT
        if finding.type == "rare" and finding.number("before") in (0, None) and _TRIGGER.search(subject):
            return Kind.TRIGGER
        return Kind.ERROR
    if finding.type == "flat_line":
        return Kind.RESOURCE
    if finding.type in METRIC_TYPES:
        is_of_users = _USERS.search(subject) and not _RESOURCES.search(subject.replace("connections_active", ""))
        return Kind.EFFECT if is_of_users else Kind.RESOURCE
    return Kind.ERROR
