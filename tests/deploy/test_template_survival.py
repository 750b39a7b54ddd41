"""The template's promises about runs that survive their process: hand-offs, the sweeper, failed invocations."""

from __future__ import annotations

import pytest

from tests.deploy.programs import Resources
from tests.deploy.resources import AGENTS, SPECIALISTS, alias_of, config_default, of, statements


@pytest.mark.parametrize(
    ("policy", "role", "functions"),
    [
        ("HandOnOrchestrator", "OrchestratorRole", AGENTS - SPECIALISTS),
        ("HandOnSpecialists", "SpecialistRole", SPECIALISTS),
    ],
)
def test_an_agent_may_invoke_itself_for_a_hand_off(
    stack: Resources, policy: str, role: str, functions: set[str]
) -> None:
    """By its name, alias and versions. The policy is separate from the role, or each would depend on the other."""
    properties = stack[policy]["Properties"]
    assert properties["RoleName"] == {"Ref": role}
    (statement,) = properties["PolicyDocument"]["Statement"]
    assert statement["Action"] == "lambda:InvokeFunction"
    wanted = [{"Fn::GetAtt": [name, "Arn"]} for name in functions] + [
        {"Fn::Sub": f"${{{name}.Arn}}:*"} for name in functions
    ]
    assert sorted(statement["Resource"], key=str) == sorted(wanted, key=str)
    assert of(stack, "AWS::IAM::RolePolicy").keys() == {"HandOnOrchestrator", "HandOnSpecialists"}


def test_the_sweeper_sweeps_every_minute_and_dispatches_to_every_agent(stack: Resources) -> None:
    (rule,) = of(stack, "AWS::Events::Rule").values()
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert rule.get("State", "ENABLED") == "ENABLED"
    assert [target["Arn"] for target in rule["Targets"]] == [alias_of("SweeperFunction")]
    rights = {each["Action"]: each for each in statements(stack, "SweeperRole") if "lambda:" in str(each["Action"])}
    # It dispatches without a URL, and has threads deleted by the agents' URLs.
    assert rights.keys() == {"lambda:InvokeFunction", "lambda:InvokeFunctionUrl"}
    for each in rights.values():
        assert sorted(each["Resource"], key=str) == sorted(map(alias_of, AGENTS), key=str)
    assert "Condition" not in rights["lambda:InvokeFunction"]
    comma, pairs = stack["SweeperFunction"]["Properties"]["Environment"]["Variables"]["TAILRACE_DISPATCH"]["Fn::Join"]
    assert comma == ","
    places = {pair["Fn::Join"][1][0]: pair["Fn::Join"][1][1] for pair in pairs}
    assert {pair["Fn::Join"][0] for pair in pairs} == {"="}
    handlers = {stack[name]["Properties"]["Handler"].split(".")[0]: name for name in AGENTS}
    assert places == {agent: alias_of(function) for agent, function in handlers.items()}


def test_failed_asynchronous_invocations_are_kept_and_raise_an_alarm(stack: Resources) -> None:
    (queue,) = of(stack, "AWS::SQS::Queue").values()
    assert queue == {"MessageRetentionPeriod": 14 * 86_400, "SqsManagedSseEnabled": True}
    functions = of(stack, "AWS::Lambda::Function")
    # It applies to every version of the function; a destination would apply only to the alias.
    leaving = {name for name, each in functions.items() if "DeadLetterConfig" in each}
    assert leaving == {"SweeperFunction", *AGENTS}
    for name in leaving:
        assert functions[name]["DeadLetterConfig"] == {"TargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}
    alarm = stack["DeadLettersAlarm"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DeadLetters", "QueueName"]}}]
    assert (alarm["MetricName"], alarm["Threshold"]) == ("ApproximateNumberOfMessagesVisible", 1)
    (denied,) = stack["DeadLettersPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_asynchronous_invocations_are_retried_for_long_enough(stack: Resources) -> None:
    configured = {each["FunctionName"]["Ref"]: each for each in of(stack, "AWS::Lambda::EventInvokeConfig").values()}
    assert configured.keys() == {"SweeperFunction", *AGENTS}
    assert {each["Qualifier"] for each in configured.values()} == {"live"}
    for name in AGENTS:
        retries, age_s = configured[name]["MaximumRetryAttempts"], configured[name]["MaximumEventAgeInSeconds"]
        # Lambda pauses for a minute and for two.
        assert retries == 2
        assert (1 + retries) * stack[name]["Properties"]["Timeout"] + 60 + 120 < age_s <= 3600
    sweeper = configured["SweeperFunction"]
    assert (sweeper["MaximumRetryAttempts"], sweeper["MaximumEventAgeInSeconds"]) == (0, 60)
    assert stack["SweeperFunction"]["Properties"]["Timeout"] < 60


def test_a_run_with_many_hand_offs_is_not_taken_for_a_loop(stack: Resources) -> None:
    functions = of(stack, "AWS::Lambda::Function")
    assert {name for name, each in functions.items() if each.get("RecursiveLoop") == "Allow"} == AGENTS


def test_an_agent_has_time_for_a_hand_off_before_it_is_killed(stack: Resources) -> None:
    for name in AGENTS:
        assert stack[name]["Properties"]["Timeout"] == 900 >= 10 * config_default("TAILRACE_HANDOFF_S")
