"""The template's promises about runs that survive their process, and about streams that are quiet."""

from __future__ import annotations

import pytest

from tailrace.config import Settings
from tests.deploy.programs import Resources
from tests.deploy.resources import (
    AGENTS,
    EVERY_AGENT,
    alias_of,
    config_default,
    of,
    statements,
)
from tests.support.watched_task import ON_LAMBDA


@pytest.mark.parametrize("function", sorted(AGENTS))
def test_an_agent_may_invoke_itself_for_a_hand_off(stack: Resources, function: str) -> None:
    """By its alias, by which the registry has it, and by nothing else."""
    agent = function.removesuffix("Function")
    (mine,) = (each for each in statements(stack, f"{agent}Role") if each["Action"] == "lambda:InvokeFunction")
    assert mine["Resource"] == EVERY_AGENT
    assert stack[function]["Properties"]["FunctionName"] == {"Fn::Sub": f"${{AWS::StackName}}_{agent}"}
    assert f"${{{agent}Function.Arn}}:live" in stack[f"{agent}Registered"]["Properties"]["Value"]["Fn::Sub"]


@pytest.mark.parametrize("function", sorted(AGENTS))
def test_an_agent_sleeps_and_may_be_woken_by_every_other(stack: Resources, function: str) -> None:
    assert float(stack[function]["Properties"]["Environment"]["Variables"]["TAILRACE_SLEEP_AFTER_S"]) > 0
    for other in AGENTS:
        rights = statements(stack, other.replace("Function", "Role"))
        assert [each["Action"] for each in rights if each["Resource"] == EVERY_AGENT] == [
            "lambda:InvokeFunctionUrl",
            "lambda:InvokeFunction",
        ]


def test_the_sweeper_sweeps_every_minute(stack: Resources) -> None:
    (rule,) = of(stack, "AWS::Events::Rule").values()
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert rule.get("State", "ENABLED") == "ENABLED"
    assert [target["Arn"] for target in rule["Targets"]] == [alias_of("SweeperFunction")]


@pytest.mark.parametrize("role", ["GatewayRole", "SweeperRole"])
def test_who_dispatches_may_invoke_every_agent_without_its_url(stack: Resources, role: str) -> None:
    (right,) = (each for each in statements(stack, role) if each["Action"] == "lambda:InvokeFunction")
    assert right["Resource"] == EVERY_AGENT
    assert "Condition" not in right


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


def test_the_gateway_pauses_quiet_streams_with_the_settings_of_their_tests(stack: Resources) -> None:
    variables = stack["GatewayFunction"]["Properties"]["Environment"]["Variables"]
    deployed = Settings.load({name: value for name, value in variables.items() if isinstance(value, str)})
    assert {name: getattr(deployed, name) for name in ON_LAMBDA} == ON_LAMBDA
