"""What a month costs, whatever runs in it; and from how many viewers a container pays."""

from __future__ import annotations

import msgspec

from deploy.cost import prices
from deploy.cost.prices import SECONDS_A_MONTH
from deploy.cost.usage import Line

# Of the template: the alarms of each agent and the others, and what a sweep takes.
_AGENTS_ALARMS, _OTHER_ALARMS = 3, 14
_SWEEPS_A_MONTH, _SWEEP_GB_S = prices.HOURS_A_MONTH * 60, 0.25 * 0.2
# A capacity unit of a load balancer serves 3,000 connections a minute; streams need one.
_BALANCER_UNITS = 1


class Container(msgspec.Struct, frozen=True):
    """A gateway as a service of containers behind a load balancer."""

    tasks: int = 2
    cpus: float = 0.5
    gb: float = 1.0


def fixed(agents: int, versions: int, agent_mb: int) -> list[Line]:
    """Return what a month costs without a single run. Each agent has `versions` versions with a snapshot."""
    kept = agents * versions * agent_mb / 1024 * SECONDS_A_MONTH
    alarms = agents * _AGENTS_ALARMS + _OTHER_ALARMS
    swept = _SWEEPS_A_MONTH * _SWEEP_GB_S
    return [
        Line("snapshots", kept, prices.SNAPSHOT_KEPT.unit, prices.SNAPSHOT_KEPT.of(kept)),
        Line("sweeper, time", swept, prices.LAMBDA_TIME.unit, prices.LAMBDA_TIME.of(swept)),
        Line("sweeper, invocations", _SWEEPS_A_MONTH, "invocations", prices.LAMBDA_REQUESTS.of(_SWEEPS_A_MONTH)),
        Line("alarms", alarms, prices.ALARM.unit, prices.ALARM.of(alarms)),
        Line("dashboard", 1, prices.DASHBOARD.unit, prices.DASHBOARD.of(1)),
        Line("the distribution's key", 1, prices.SECRET.unit, prices.SECRET.of(1)),
    ]


def container(service: Container) -> list[Line]:
    """Return what a month of the service costs."""
    cpu, memory = (service.tasks * each * prices.HOURS_A_MONTH for each in (service.cpus, service.gb))
    hours = prices.HOURS_A_MONTH
    return [
        Line("containers, CPU", cpu, prices.FARGATE_CPU.unit, prices.FARGATE_CPU.of(cpu)),
        Line("containers, memory", memory, prices.FARGATE_MEMORY.unit, prices.FARGATE_MEMORY.of(memory)),
        Line("load balancer", hours, prices.BALANCER.unit, prices.BALANCER.of(hours)),
        Line(
            *("load balancer, capacity", hours * _BALANCER_UNITS, prices.BALANCER_UNIT.unit),
            prices.BALANCER_UNIT.of(hours * _BALANCER_UNITS),
        ),
    ]


def open_stream(gateway_mb: int, share: float) -> float:
    """Return the dollars for a stream that is open all month and held for `share` of the time by a function."""
    return prices.LAMBDA_TIME.of(gateway_mb / 1024 * SECONDS_A_MONTH * share)
