"""Look-ups in the resources that CloudFormation gets."""

from __future__ import annotations

from typing import Any

from tailrace import config
from tests.deploy.programs import Resources

SPECIALISTS = {"LogAnalystFunction", "MetricAnalystFunction"}
AGENTS = {"OrchestratorFunction", *SPECIALISTS}
WITH_URL = {"GatewayFunction", *AGENTS}
FUNCTIONS = {"SweeperFunction", *WITH_URL}


def of(stack: Resources, kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of the resources of one type, by their names."""
    return {name: each["Properties"] for name, each in stack.items() if each["Type"] == kind}


def alias_of(function: str) -> dict[str, str]:
    return {"Ref": f"{function}Aliaslive"}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(stack: Resources, role: str) -> list[dict[str, Any]]:
    policies = stack[role]["Properties"]["Policies"]
    return [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]


def config_default(variable: str) -> float:
    return next(float(default) for name, default, _, _ in config.settings_table() if name == variable)
