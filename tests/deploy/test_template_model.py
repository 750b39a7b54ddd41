"""A chat model on AWS: the agents may ask exactly the one that is named, and get its provider's package and its key."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.deploy.programs import ROOT, Resources
from tests.deploy.resources import AGENTS, as_list, statements

PROFILE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ACCOUNT = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012"}
ROLES = [agent.replace("Function", "Role") for agent in sorted(AGENTS)]


def value_of(part: Any, **parameters: str) -> Any:
    """Evaluate what CloudFormation would, as far as ARNs need it."""
    known = {**ACCOUNT, **parameters}
    match part:
        case {"Ref": name}:
            return known[name]
        case {"Fn::Join": [by, parts]}:
            return by.join(value_of(each, **parameters) for each in parts)
        case {"Fn::Split": [by, text]}:
            return value_of(text, **parameters).split(by)
        case {"Fn::Select": [index, parts]}:
            return value_of(parts, **parameters)[int(index)]
        case {"Fn::Sub": [text, variables]}:
            here = known | {name: value_of(each, **parameters) for name, each in variables.items()}
            return re.sub(r"\$\{([^}]+)\}", lambda match: here[match[1]], text)
        case {"Fn::Sub": text}:
            return value_of({"Fn::Sub": [text, {}]}, **parameters)
        case dict():
            return {name: value_of(each, **parameters) for name, each in part.items()}
        case list():
            return [value_of(each, **parameters) for each in part]
    return part


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", [PROFILE, "mistral.mistral-large-2407-v1:0"])
def test_an_agent_may_ask_exactly_the_model_of_bedrock_that_is_named(stack: Resources, role: str, model: str) -> None:
    asking = [each for each in statements(stack, role, "WithBedrock") if "bedrock" in str(each["Action"])]
    direct, through = value_of(asking, Model=f"bedrock_converse:{model}")
    for each in (direct, through):
        assert each["Action"] == ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    profile = f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/{model}"
    assert direct["Resource"] == [f"arn:aws:bedrock:eu-west-1::foundation-model/{model}", profile]
    # A profile leads to other regions. The condition lets nothing else through.
    assert through["Resource"] == "arn:aws:bedrock:*::foundation-model/*"
    assert through["Condition"] == {"StringEquals": {"bedrock:InferenceProfileArn": profile}}


@pytest.mark.parametrize("role", ROLES)
def test_an_agent_may_read_exactly_the_secret_that_is_named(stack: Resources, role: str) -> None:
    (reading,) = [each for each in statements(stack, role, "WithModelKey") if "secret" in str(each["Action"])]
    assert reading["Action"] == "secretsmanager:GetSecretValue"
    secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tailrace/openai-??????"
    assert value_of(reading, ModelKey="tailrace/openai")["Resource"] == secret


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_the_agents_get_the_models_name_its_package_and_the_name_of_its_key(stack: Resources, name: str) -> None:
    function = stack[name]["Properties"]
    variables = function["Environment"]["Variables"]
    assert (variables["TAILRACE_MODEL"], variables["TAILRACE_MODEL_KEY"]) == ({"Ref": "Model"}, {"Ref": "ModelKey"})
    assert function["Layers"][-1]["Ref"].startswith("ModelLayer")


def test_the_layer_of_a_model_is_made_of_its_providers_folder() -> None:
    layer = yaml.load((ROOT / "template.yaml").read_text(), Loader=Intrinsics)["Resources"]["ModelLayer"]
    path, names = layer["Properties"]["ContentUri"][1]
    assert path == "layers/models/${Provider}"
    assert names == {"Provider": ["Select", [0, ["Split", [":", ["Ref", "Model"]]]]]}
    assert layer["Metadata"]["BuildMethod"] == "makefile"


def test_without_a_model_nobody_has_a_right_to_one(stack: Resources) -> None:
    for role in (*ROLES, "GatewayRole", "SweeperRole"):
        assert not [each for each in statements(stack, role) if "bedrock" in str(each) or "secretsmanager" in str(each)]
    for conditions in (("WithBedrock",), ("WithModelKey",)):
        for role in ("GatewayRole", "SweeperRole"):
            assert statements(stack, role, *conditions) == statements(stack, role)
    assert all("bedrock" not in str(as_list(each["Action"])) for role in ROLES for each in statements(stack, role))


def test_a_key_that_another_provider_has_left_is_no_right_of_an_agent_that_asks_bedrock() -> None:
    conditions = yaml.load((ROOT / "template.yaml").read_text(), Loader=Intrinsics)["Conditions"]
    named, bedrock = ["Not", [["Equals", [["Ref", "ModelKey"], ""]]]], ["Not", [["Condition", "WithBedrock"]]]
    assert conditions["WithModelKey"] == ["And", [named, bedrock]]


class Intrinsics(yaml.SafeLoader):
    """Reads `!Ref Name` as ["Ref", "Name"]."""


def _intrinsic(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> list[Any]:
    if isinstance(node, yaml.ScalarNode):
        return [tag, loader.construct_scalar(node)]
    return [tag, loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else node.value]


Intrinsics.add_multi_constructor("!", _intrinsic)
