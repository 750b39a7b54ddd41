"""Each function of the template has the rights that it needs and no others, and knows where the agents are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tailrace.registry import Registered
from tests.deploy.programs import Resources
from tests.deploy.resources import AGENTS, EVERY_AGENT, as_list, of, statements

WRITE_LOG_LINES = {"logs:CreateLogStream", "logs:PutLogEvents"}
KEEP_THE_LOG = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"}
KEEP_CHECKPOINTS = DELETE_TOO = {*KEEP_THE_LOG, "dynamodb:DeleteItem"}
ROLES = [function.replace("Function", "Role") for function in AGENTS]
SEND_DEAD_LETTERS = {"sqs:SendMessage"}


def granted(stack: Resources, role: str) -> dict[str, set[str]]:
    """Return the actions of a role, by their resources."""
    rights: dict[str, set[str]] = {}
    for statement in statements(stack, role):
        for resource in as_list(statement["Resource"]):
            rights.setdefault(json.dumps(resource), set()).update(as_list(statement["Action"]))
    return rights


def every_statement(stack: Resources) -> Iterator[dict[str, Any]]:
    def inside(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if "Effect" in value:
                yield value
            for each in value.values():
                yield from inside(each)
        elif isinstance(value, list):
            for each in value:
                yield from inside(each)

    return inside(stack)


def test_only_the_agents_have_names_with_the_stacks_name_and_an_underscore(stack: Resources) -> None:
    """A stack's name has no underscore, so no name that CloudFormation makes matches what the callers may call."""
    named = {
        name: each["FunctionName"]
        for name, each in of(stack, "AWS::Lambda::Function").items()
        if "FunctionName" in each
    }
    assert named == {
        function: {"Fn::Sub": f"${{AWS::StackName}}_{function.removesuffix('Function')}"} for function in AGENTS
    }


@pytest.mark.parametrize("role", ["GatewayRole", "SweeperRole", *sorted(ROLES)])
def test_a_caller_has_both_rights_on_the_agents_of_the_stack_and_on_nothing_else(stack: Resources, role: str) -> None:
    by_url, without = (each for each in statements(stack, role) if "lambda:" in str(each["Action"]))
    assert by_url["Action"] == "lambda:InvokeFunctionUrl"
    assert by_url["Condition"] == {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}
    assert without["Action"] == "lambda:InvokeFunction"
    assert by_url["Resource"] == without["Resource"] == EVERY_AGENT


def test_no_policy_has_a_wildcard_or_a_scan(stack: Resources) -> None:
    policies = list(every_statement(stack))
    assert policies
    for statement in policies:
        actions = as_list(statement["Action"])
        assert not [action for action in actions if "*" in action or "Scan" in action]
        if statement["Effect"] == "Allow":
            assert statement.get("Principal") != "*"
            assert "*" not in as_list(statement.get("Resource", []))
    for role in of(stack, "AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role


def registry(prefix: str, suffix: str = "") -> dict[str, str]:
    """Return the path of the parameters of the agents, as a reference."""
    account = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:" if prefix else "/"
    return {"Fn::Sub": f"{account}{prefix}tailrace/${{AWS::StackName}}/agents{suffix}"}


def test_each_agent_is_registered_where_the_others_look(stack: Resources) -> None:
    parameters = {each["Name"]["Fn::Sub"]: each["Value"] for each in of(stack, "AWS::SSM::Parameter").values()}
    assert parameters.keys() == {registry("", f"/{agent.removesuffix('Function')}")["Fn::Sub"] for agent in AGENTS}
    for name, value in parameters.items():
        agent = name.rpartition("/")[2]
        found = msgspec.json.decode(
            re.sub(r"\$\{\w+Url.FunctionUrl\}", "https://any", value["Fn::Sub"]), type=Registered
        )
        assert f"${{{agent}FunctionUrl.FunctionUrl}}" in value["Fn::Sub"]
        assert found.function == f"${{{agent}Function.Arn}}:live"
    for function in of(stack, "AWS::Lambda::Function").values():
        assert function["Environment"]["Variables"]["TAILRACE_REGISTRY"] == registry("")


def test_each_function_has_only_the_rights_that_it_needs(stack: Resources) -> None:
    log, checkpoints = '{"Fn::GetAtt": ["LogTable", "Arn"]}', '{"Fn::GetAtt": ["CheckpointTable", "Arn"]}'
    access = '{"Fn::GetAtt": ["AccessTable", "Arn"]}'
    by_owner, by_open = (json.dumps({"Fn::Sub": f"${{LogTable.Arn}}/index/{name}"}) for name in ("by_owner", "by_open"))
    dead_letters = '{"Fn::GetAtt": ["DeadLetters", "Arn"]}'
    keeping = {log: KEEP_THE_LOG, by_owner: {"dynamodb:Query"}}
    finding = {json.dumps(registry("parameter/")): {"ssm:GetParametersByPath"}}
    bucket = stack["FilesBucket"]["Properties"]["BucketName"]["Fn::Join"][1]
    uploads, large = (
        json.dumps({"Fn::Sub": [f"arn:${{AWS::Partition}}:s3:::{bucket[0]}-${{Stack}}/{name}/*", {"Stack": bucket[1]}]})
        for name in ("uploads", "checkpoints")
    )
    running = {
        **keeping,
        **finding,
        checkpoints: KEEP_CHECKPOINTS,
        dead_letters: SEND_DEAD_LETTERS,
        uploads: {"s3:GetObject"},
        large: {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"},
    }
    deleting = DELETE_TOO - {"dynamodb:PutItem"}
    sweeping = {log: deleting, by_open: {"dynamodb:Query"}, dead_letters: SEND_DEAD_LETTERS, **finding}
    roles = {
        # Nobody else gets at sessions and tokens, above all no agent, which runs its author's code.
        "GatewayRole": {**keeping, log: DELETE_TOO, access: DELETE_TOO, **finding},
        "SweeperRole": sweeping,
        **{agent.replace("Function", "Role"): running for agent in AGENTS},
    }
    assert of(stack, "AWS::IAM::Role").keys() == roles.keys()
    for role, rights in roles.items():
        function, log_group = role.replace("Role", "Function"), role.replace("Role", "LogGroup")
        mine = granted(stack, role)
        calls = {name: mine.pop(name) for name in list(mine) if ":lambda:" in name}
        assert all(actions <= {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"} for actions in calls.values())
        assert mine == {json.dumps({"Fn::GetAtt": [log_group, "Arn"]}): WRITE_LOG_LINES, **rights}
        using = {
            name
            for name, function in of(stack, "AWS::Lambda::Function").items()
            if function["Role"] == {"Fn::GetAtt": [role, "Arn"]}
        }
        assert using == {function}
