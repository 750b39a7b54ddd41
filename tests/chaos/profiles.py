"""The profiles: settings for rounds, and the share of the faults that each gets."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.plan import KINDS
from tests.chaos.watch import Orphan

_SHORT = {"TAILRACE_LEASE_S": "1", "TAILRACE_RENEW_S": "0.2", "TAILRACE_TAIL_SLOW_MS": "250", "TAILRACE_SWEEP_S": "1"}
# A takeover is the work of several processes, one after the other: the gateway comes back, its reader, the agent. On a
# machine with too much to do each of them waits for its turn as long as the one who looks has waited.
STARVED = 4
_PROCESSES = tuple(kind for kind in KINDS if kind.startswith(("kill", "stop")))


@dataclass(frozen=True)
class Profile:
    """`share` is its part of all faults; `tasks` and `faults` are the numbers for each round."""

    name: str
    share: float
    variables: dict[str, str] = field(default_factory=dict)
    lease_s: float = 1.0
    sweep_s: float = 1.0
    tasks: int = 8
    faults: int = 56
    kinds: tuple[str, ...] = tuple(KINDS)
    dynamodb: bool = False
    # What a takeover may take beyond the promise, because two cores run all of it: eight processes, their proxies and
    # readers, and the checker, which looks every 20 ms; on DynamoDB its emulator, too.
    allowance_s: float = 1.0

    def bound_s(self, orphan: Orphan) -> float:
        """The time in which another process has to continue a task whose process died."""
        bound_s = self.lease_s + 2 + self.allowance_s + orphan.clock_s + STARVED * orphan.starved_s
        if orphan.watched:
            return bound_s
        # The sweeper's: it leaves what was touched within a lease's time to those who look.
        return bound_s + self.lease_s + self.sweep_s


SHORT = Profile("short", 0.85, _SHORT)
PROFILES = (
    SHORT,
    # An attempt drains 0.8 s after it has begun; the longest node takes another 0.5 s. Nobody is stopped in the middle
    # of a node here: it would run past its deadline, which is the end of a task.
    Profile(
        "handoff",
        0.06,
        {**_SHORT, "TAILRACE_ATTEMPT_S": "2.8", "TAILRACE_HANDOFF_S": "2"},
        kinds=tuple(kind for kind in KINDS if kind != "stop runner"),
    ),
    # Streams are closed every half second, buffers hold 4 events, and nothing waits for company.
    Profile(
        "rotation",
        0.05,
        {**_SHORT, "TAILRACE_ROTATE_S": "0.5", "TAILRACE_PIPE_EVENTS": "4", "TAILRACE_EMIT_INTERVAL_MS": "10"},
    ),
    Profile("shipped", 0.002, {}, lease_s=10.0, sweep_s=15.0, tasks=4, faults=4, kinds=_PROCESSES),
    Profile(
        "dynamodb",
        0.03,
        {"TAILRACE_LEASE_S": "2", "TAILRACE_RENEW_S": "0.5", "TAILRACE_TAIL_SLOW_MS": "250", "TAILRACE_SWEEP_S": "1"},
        lease_s=2.0,
        tasks=4,
        faults=20,
        dynamodb=True,
        allowance_s=3.0,
    ),
)
