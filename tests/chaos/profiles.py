"""The profiles: settings for rounds, and the share of the faults that each gets."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.callers import VARIABLES
from tests.chaos.plan import KINDS
from tests.chaos.watch import Orphan

_SHORT = {"TAILRACE_LEASE_S": "1", "TAILRACE_RENEW_S": "0.2", "TAILRACE_TAIL_SLOW_MS": "250", "TAILRACE_SWEEP_S": "1"}
# A takeover needs several processes one after the other: the gateway, its reader and the agent. On a busy machine each
# of them waits for its turn, as long as this process or the worker that waits longest.
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
    # Two owners with sessions that end soon, and with limits that they meet.
    owners: bool = False
    # How much longer than promised a takeover may take, because two cores run eight processes, their proxies and
    # readers, the checker, which reads the log every 20 ms, and on DynamoDB the emulator.
    allowance_s: float = 1.0

    def bound_s(self, orphan: Orphan) -> float:
        """The time in which another process has to continue a task whose process died."""
        bound_s = self.lease_s + 2 + self.allowance_s + orphan.clock_s + STARVED * orphan.starved_s
        if orphan.watched:
            return bound_s
        # Only the sweeper finds it, and leaves tasks that changed within the last lease to their readers.
        return bound_s + self.lease_s + self.sweep_s


SHORT = Profile("short", 0.77, _SHORT)
# A reader may have to wait for the place of a stream whose gateway was killed. A dispatch is the gateway's own request,
# and knows no session; a wrong clock ends every session at once.
OWNERS = Profile(
    "owners",
    0.03,
    {**_SHORT, **VARIABLES},
    faults=40,
    kinds=tuple(kind for kind in KINDS if kind != "clock jumps" and "dispatch" not in kind),
    owners=True,
    allowance_s=9.0,
)
PROFILES = (
    SHORT,
    OWNERS,
    # An attempt begins its handoff 0.8 s after its start. The longest node takes another 0.5 s, and has 9 s, so that it
    # ends in time on a busy machine too. No process is stopped here: a node would exceed its deadline, and its task
    # would fail.
    Profile(
        "handoff",
        0.06,
        {**_SHORT, "TAILRACE_ATTEMPT_S": "10.8", "TAILRACE_HANDOFF_S": "10"},
        kinds=tuple(kind for kind in KINDS if kind != "stop runner"),
    ),
    # A run that only waits for specialists sleeps as soon as they pause for a moment, and is woken by the next event.
    Profile("sleep", 0.05, {**_SHORT, "TAILRACE_SLEEP_AFTER_S": "0.02"}),
    # Streams are closed every half second, buffers hold 4 events, and batches are small.
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
