"""Alarms and the dashboard know every function, also those of the agents that are added."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.deploy.programs import Resources
from tests.deploy.resources import FUNCTIONS, WITH_URL, of


def test_alarms_watch_every_function_table_and_index(stack: Resources) -> None:
    watched: dict[str, set[tuple[str, ...]]] = {}
    for alarm in of(stack, "AWS::CloudWatch::Alarm").values():
        assert alarm["TreatMissingData"] == "notBreaching"
        of_what = tuple(str(plain_value(each["Value"])) for each in alarm["Dimensions"])
        watched.setdefault(alarm["MetricName"], set()).add(of_what)
    indexes = {each["IndexName"] for each in stack["LogTable"]["Properties"]["GlobalSecondaryIndexes"]}
    # A request that an index throttles is not counted for its table.
    tables = {("LogTable",), ("CheckpointTable",), *(("LogTable", index) for index in indexes)}
    functions = {(function,) for function in FUNCTIONS}
    assert watched == {
        "Errors": functions,
        "Throttles": functions,
        "Duration": {(function,) for function in WITH_URL},  # the sweeper's time limit is less than a minute
        "ReadThrottleEvents": tables,
        "WriteThrottleEvents": tables,
        "ApproximateNumberOfMessagesVisible": {("DeadLetters",)},
    }


def plain_value(value: Any) -> Any:
    """Return the name in a reference."""
    if not isinstance(value, dict):
        return value
    (name,) = value.values()
    return name[0] if isinstance(name, list) else name


def test_the_dashboard_is_json_and_finds_every_function(stack: Resources) -> None:
    text = stack["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(text)["widgets"]
    (explorer,) = (each["properties"] for each in widgets if each["type"] == "explorer")
    (label,) = explorer["labels"]
    for function in of(stack, "AWS::Lambda::Function").values():
        tags = {tag["Key"]: tag["Value"] for tag in function["Tags"]}
        assert tags[label["key"]] == {"Ref": "AWS::StackName"}
    assert label["value"] == "${AWS::StackName}"
    prefix = re.search(r"namePrefix: \['([^']+)'\]", text)
    assert prefix
    for group in of(stack, "AWS::Logs::LogGroup").values():
        assert group["LogGroupName"]["Fn::Sub"].startswith(prefix[1])
