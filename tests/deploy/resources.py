"""Look-ups in the resources that CloudFormation gets."""

from __future__ import annotations

import re
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


def statements(stack: Resources, role: str, *conditions: str) -> list[dict[str, Any]]:
    """Return what a role may do, if these conditions hold."""
    policies = [_chosen(policy, conditions) for policy in stack[role]["Properties"]["Policies"]]
    return [each for policy in policies if "Ref" not in policy for each in policy["PolicyDocument"]["Statement"]]


def _chosen(value: dict[str, Any], conditions: tuple[str, ...]) -> dict[str, Any]:
    if "Fn::If" not in value:
        return value
    condition, then, otherwise = value["Fn::If"]
    return dict(then if condition in conditions else otherwise)


_FUNCTION = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function"
# Every agent of the stack, by its alias, and nothing else.
EVERY_AGENT = {"Fn::Sub": f"{_FUNCTION}:${{AWS::StackName}}_*:live"}


def plainly(value: Any) -> Any:
    """Return resources with one form for each reference: `Ref`, `Fn::GetAtt`, and the alias for the ARN that it has."""
    if isinstance(value, list):
        return [plainly(each) for each in value]
    if not isinstance(value, dict):
        return value
    text = value.get("Fn::Sub")
    if isinstance(text, str) and (alone := re.fullmatch(r"\$\{([\w.:]+)\}(:live)?", text)):
        name, _, attribute = alone[1].partition(".")
        if alone[2]:
            return alias_of(name)
        return {"Fn::GetAtt": [name, attribute]} if attribute else {"Ref": name}
    return {key: plainly(each) for key, each in value.items()}


def config_default(variable: str) -> float:
    return next(float(default) for name, default, _, _ in config.settings_table() if name == variable)
