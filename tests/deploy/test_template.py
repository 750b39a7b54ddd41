"""The template's promises, checked on the resources that CloudFormation gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.site import PAGE_HEADERS
from tailrace import config
from tailrace.agent.checkpoints import store as checkpoint_store
from tailrace.log import table as log_table
from tests.deploy import resources
from tests.deploy.programs import ROOT, Resources, run
from tests.deploy.resources import AGENTS, FUNCTIONS, SPECIALISTS, WITH_URL, alias_of, as_list, of, statements

Render = Callable[..., Resources]

WRITE_LOG_LINES = {"logs:CreateLogStream", "logs:PutLogEvents"}
KEEP_THE_LOG = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"}
KEEP_CHECKPOINTS = DELETE_TOO = {*KEEP_THE_LOG, "dynamodb:DeleteItem"}
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


def test_the_linters_find_nothing(sam: Path) -> None:
    linted = run(sam / "cfn-lint", "template.yaml")
    assert linted.returncode == 0, linted.stdout
    validated = run(sam / "sam", "validate", "--lint")
    assert validated.returncode == 0, validated.stdout + validated.stderr


def test_functions_with_requests_have_a_streaming_url_that_needs_a_signature(stack: Resources) -> None:
    urls = of(stack, "AWS::Lambda::Url")
    targets = [url["TargetFunctionArn"] for url in urls.values()]
    assert sorted(targets, key=str) == sorted(map(alias_of, WITH_URL), key=str)
    for url in urls.values():
        assert (url["AuthType"], url["InvokeMode"]) == ("AWS_IAM", "RESPONSE_STREAM")
        assert "Cors" not in url


def test_only_the_distribution_may_call_the_gateways_url(stack: Resources) -> None:
    grants = of(stack, "AWS::Lambda::Permission")
    assert grants.pop("SweeperFunctionEveryMinutePermission")["FunctionName"] == alias_of("SweeperFunction")
    permissions = [
        (each["Action"], each.get("FunctionUrlAuthType"), each.get("InvokedViaFunctionUrl")) for each in grants.values()
    ]
    # Without the second right, CloudFront gets 403 (since 1 November 2026).
    assert sorted(permissions, key=str) == [
        ("lambda:InvokeFunction", None, True),
        ("lambda:InvokeFunctionUrl", "AWS_IAM", None),
    ]
    for each in grants.values():
        assert each["FunctionName"] == alias_of("GatewayFunction")
        assert each["Principal"] == "cloudfront.amazonaws.com"
        assert each["SourceArn"]["Fn::Sub"].endswith(":distribution/${Distribution}")


@pytest.mark.parametrize(
    ("role", "called"),
    [
        ("GatewayRole", {"OrchestratorFunction", *SPECIALISTS}),
        ("OrchestratorRole", SPECIALISTS),
        ("SpecialistRole", set()),
    ],
)
def test_a_caller_has_both_rights_on_each_agent_it_calls(stack: Resources, role: str, called: set[str]) -> None:
    aliases = [alias_of(function) for function in called]
    rights = {each["Action"]: each for each in statements(stack, role) if "lambda:" in str(each["Action"])}
    if not called:
        assert rights == {}
        return
    assert rights.keys() == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    for each in rights.values():
        assert sorted(each["Resource"], key=str) == sorted(aliases, key=str)
    assert rights["lambda:InvokeFunction"]["Condition"] == {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
    assert rights["lambda:InvokeFunctionUrl"]["Condition"] == {
        "StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}
    }


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


def test_each_function_has_only_the_rights_that_it_needs(stack: Resources) -> None:
    log, checkpoints = '{"Fn::GetAtt": ["LogTable", "Arn"]}', '{"Fn::GetAtt": ["CheckpointTable", "Arn"]}'
    by_owner, by_open = (json.dumps({"Fn::Sub": f"${{LogTable.Arn}}/index/{name}"}) for name in ("by_owner", "by_open"))
    dead_letters = '{"Fn::GetAtt": ["DeadLetters", "Arn"]}'
    keeping = {log: KEEP_THE_LOG, by_owner: {"dynamodb:Query"}}
    running = {**keeping, checkpoints: KEEP_CHECKPOINTS, dead_letters: SEND_DEAD_LETTERS}
    deleting = DELETE_TOO - {"dynamodb:PutItem"}
    sweeping = {log: deleting, by_open: {"dynamodb:Query"}, dead_letters: SEND_DEAD_LETTERS}
    roles = {
        "GatewayRole": ("GatewayLogGroup", {**keeping, log: DELETE_TOO}, {"GatewayFunction"}),
        "OrchestratorRole": ("OrchestratorLogGroup", running, {"OrchestratorFunction"}),
        "SpecialistRole": ("SpecialistLogGroup", running, SPECIALISTS),
        "SweeperRole": ("SweeperLogGroup", sweeping, {"SweeperFunction"}),
    }
    assert of(stack, "AWS::IAM::Role").keys() == roles.keys()
    for role, (log_group, rights, functions) in roles.items():
        mine = granted(stack, role)
        calls = {name: mine.pop(name) for name in list(mine) if "Alias" in name}
        assert all(actions <= {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"} for actions in calls.values())
        assert mine == {json.dumps({"Fn::GetAtt": [log_group, "Arn"]}): WRITE_LOG_LINES, **rights}
        using = {
            name
            for name, function in of(stack, "AWS::Lambda::Function").items()
            if function["Role"] == {"Fn::GetAtt": [role, "Arn"]}
        }
        assert using == functions


@pytest.mark.parametrize(
    ("name", "definition"), [("LogTable", log_table.definition), ("CheckpointTable", checkpoint_store.definition)]
)
def test_each_table_is_as_its_code_defines_it(stack: Resources, name: str, definition: Callable[[str], Any]) -> None:
    table = dict(stack[name]["Properties"])
    wanted = definition("any")
    del wanted["TableName"]
    assert {key: table[key] for key in wanted} == wanted


@pytest.mark.parametrize("table", ["LogTable", "CheckpointTable"])
def test_stored_items_expire_and_tables_outlive_the_stack(stack: Resources, table: str) -> None:
    properties = stack[table]["Properties"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert stack[table]["DeletionPolicy"] == stack[table]["UpdateReplacePolicy"] == "Retain"


def test_the_page_has_the_same_headers_as_on_loopback(stack: Resources) -> None:
    (policy,) = of(stack, "AWS::CloudFront::ResponseHeadersPolicy").values()
    sent = policy["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    policy, values = sent["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Fn::Sub"]
    bucket = resolved(stack["FilesBucket"]["Properties"]["BucketName"])
    uploads = f"https://tailrace-{resolved(values['Stack'])}.s3.${{AWS::Region}}.${{AWS::URLSuffix}}"
    assert uploads.startswith(f"https://{bucket}.s3.")
    policy = policy.replace("${Stack}", resolved(values["Stack"]))
    here = PAGE_HEADERS["Content-Security-Policy"]
    assert policy == here.replace("connect-src 'self'", f"connect-src 'self' {uploads}")
    assert sent["ReferrerPolicy"]["ReferrerPolicy"] == PAGE_HEADERS["Referrer-Policy"]
    assert PAGE_HEADERS["X-Content-Type-Options"] == "nosniff"
    assert sent["ContentTypeOptions"]
    assert sent["FrameOptions"]["FrameOption"] == "DENY"
    assert sent["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 31_536_000
    assert all(each["Override"] for each in sent.values())


def test_the_api_is_neither_cached_nor_compressed_and_gets_its_own_host(stack: Resources) -> None:
    config = stack["Distribution"]["Properties"]["DistributionConfig"]
    (api,) = config["CacheBehaviors"]
    assert api["PathPattern"] == "/api/*"
    assert api["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # CachingDisabled
    assert api["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"  # AllViewerExceptHostHeader
    assert api["Compress"] is False
    assert {"GET", "POST"} <= set(api["AllowedMethods"])
    origins = {origin["Id"]: origin for origin in config["Origins"]}
    gateway, page = origins[api["TargetOriginId"]], origins[config["DefaultCacheBehavior"]["TargetOriginId"]]
    assert gateway["OriginAccessControlId"] == {"Fn::GetAtt": ["GatewayAccess", "Id"]}
    # The limit is the time between two packets; a silent stream sends heartbeats.
    assert gateway["CustomOriginConfig"]["OriginReadTimeout"] > 2 * resources.config_default("TAILRACE_HEARTBEAT_S")
    assert page["OriginAccessControlId"] == {"Fn::GetAtt": ["PageAccess", "Id"]}
    kinds = {
        name: each["OriginAccessControlConfig"]["OriginAccessControlOriginType"]
        for name, each in of(stack, "AWS::CloudFront::OriginAccessControl").items()
    }
    assert kinds == {"PageAccess": "s3", "GatewayAccess": "lambda"}
    for behaviour in (api, config["DefaultCacheBehavior"]):
        assert behaviour["ResponseHeadersPolicyId"] == {"Ref": "SecurityHeaders"}
        assert behaviour["ViewerProtocolPolicy"] in ("https-only", "redirect-to-https")


def resolved(value: Any) -> str:
    """Return a name with the stack's id, as CloudFormation resolves it."""
    if isinstance(value, str):
        return value
    if value == {"Ref": "AWS::StackId"}:
        return "arn:aws:cloudformation:us-east-1:123456789012:stack/Tailrace/51af3dc0-da77-11e4-872e-1234567890ab"
    ((function, arguments),) = value.items()
    if function == "Fn::Join":
        return str(arguments[0].join(resolved(each) for each in arguments[1]))
    at, split = arguments
    assert (function, list(split)) == ("Fn::Select", ["Fn::Split"])
    separator, text = split["Fn::Split"]
    return resolved(text).split(separator)[at]


def test_both_buckets_are_private(stack: Resources) -> None:
    buckets = of(stack, "AWS::S3::Bucket")
    assert buckets.keys() == {"PageBucket", "FilesBucket"}
    for bucket in buckets.values():
        assert all(bucket["PublicAccessBlockConfiguration"].values())
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    for policy in of(stack, "AWS::S3::BucketPolicy").values():
        (denied,) = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"]
        assert (denied["Principal"], denied["Condition"]) == ("*", {"Bool": {"aws:SecureTransport": "false"}})


def test_only_the_distribution_reads_the_page(stack: Resources) -> None:
    policy = stack["PageBucketPolicy"]["Properties"]
    (allowed,) = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert allowed["Condition"]["StringEquals"]["AWS:SourceArn"]["Fn::Sub"].endswith(":distribution/${Distribution}")


def test_only_functions_that_need_files_have_rights_to_them(stack: Resources) -> None:
    policy = stack["FilesBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    rights = {
        (role["Fn::GetAtt"][0], each["Resource"]["Fn::Sub"].removeprefix("${FilesBucket.Arn}/"), action)
        for each in policy
        if each["Effect"] == "Allow"
        for role in as_list(each["Principal"]["AWS"])
        for action in as_list(each["Action"])
    }
    agents = ("OrchestratorRole", "SpecialistRole")
    assert rights == {
        *(("GatewayRole", "uploads/*", f"s3:{verb}Object") for verb in ("Get", "Put", "Delete")),
        ("SweeperRole", "uploads/*", "s3:DeleteObject"),
        *((role, "uploads/*", "s3:GetObject") for role in agents),
        *((role, "checkpoints/*", f"s3:{verb}Object") for role in agents for verb in ("Get", "Put", "Delete")),
    }


def test_files_expire_with_their_tasks_and_are_encrypted(stack: Resources) -> None:
    bucket = stack["FilesBucket"]["Properties"]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", {"Ref": "TtlDays"})
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_only_the_page_may_upload_files(stack: Resources) -> None:
    bucket = stack["FilesBucket"]["Properties"]
    (rule,) = bucket["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedOrigins"] == [{"Fn::Sub": "https://${Distribution.DomainName}"}]
    assert rule["AllowedMethods"] == ["PUT"]
    assert set(rule["AllowedHeaders"]) == {"content-type", "x-amz-checksum-sha256"}
    for function in of(stack, "AWS::Lambda::Function").values():
        assert resolved(function["Environment"]["Variables"]["TAILRACE_BUCKET"]) == resolved(bucket["BucketName"])


def test_the_front_door_is_closed_by_default_and_only_the_gateway_knows_the_secret(stack: Resources) -> None:
    parameter = template_parameters()["AccessSecret"]
    assert (parameter["NoEcho"], parameter["Default"]) == (True, "")
    knowing = {
        name
        for name, function in of(stack, "AWS::Lambda::Function").items()
        if {"Ref": "AccessSecret"} in function["Environment"]["Variables"].values()
    }
    assert knowing == {"GatewayFunction"}
    assert json.dumps(stack).count('{"Ref": "AccessSecret"}') == 1


def template_parameters() -> dict[str, Any]:
    text = (ROOT / "template.yaml").read_text()
    parameters: dict[str, Any] = yaml.safe_load(text[text.index("Parameters:") : text.index("Conditions:")])
    return parameters["Parameters"]  # type: ignore[no-any-return]


def test_functions_stream_log_json_and_run_on_the_chosen_architecture(stack: Resources) -> None:
    functions = of(stack, "AWS::Lambda::Function")
    assert functions.keys() == FUNCTIONS
    groups = of(stack, "AWS::Logs::LogGroup")
    for function in functions.values():
        assert function["Runtime"] == "python3.13"
        assert function["Architectures"] == [{"Ref": "Architecture"}]
        assert function["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/tailrace-runtime"
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        assert groups[function["LoggingConfig"]["LogGroup"]["Ref"]]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert template_parameters()["Architecture"]["Default"] == "arm64"


def test_the_functions_variables_are_settings_that_exist(stack: Resources) -> None:
    known = {variable for variable, *_ in config.settings_table()}
    for function in of(stack, "AWS::Lambda::Function").values():
        used = {name for name in function["Environment"]["Variables"] if name.startswith("TAILRACE_")}
        assert used <= known


def test_a_stream_rotates_before_its_function_is_killed(stack: Resources) -> None:
    for name in WITH_URL:
        assert (
            stack[name]["Properties"]["Timeout"]
            == 900
            > resources.config_default("TAILRACE_ROTATE_S") + 2 * resources.config_default("TAILRACE_HEARTBEAT_S")
        )


def test_only_agents_start_from_snapshots(stack: Resources) -> None:
    functions = of(stack, "AWS::Lambda::Function")
    assert {name for name, function in functions.items() if "SnapStart" in function} == AGENTS


def test_only_agents_have_the_agents_packages(stack: Resources) -> None:
    for name, function in of(stack, "AWS::Lambda::Function").items():
        layers = {layer["Ref"][:-10] for layer in function["Layers"]}
        agents = {"AgentsLayer"} if name in AGENTS else set()
        assert layers == {"RuntimeLayer", "TailraceLayer", *agents}


@pytest.mark.parametrize(
    "changed", [{"Code": "other"}, {"Layers": "other"}, {"Release": "1795348800"}], ids=["code", "layers", "parameters"]
)
def test_a_change_reaches_the_alias_that_is_called(stack: Resources, render: Render, changed: dict[str, str]) -> None:
    before, after = stack, render(**changed)
    for function in FUNCTIONS:
        alias = f"{function}Aliaslive"
        was, is_now = (each[alias]["Properties"]["FunctionVersion"] for each in (before, after))
        assert was != is_now


def test_concurrency_is_reserved_only_on_request(stack: Resources) -> None:
    parameters = template_parameters()
    for name in WITH_URL:
        which = "Gateway" if name == "GatewayFunction" else "Agent"
        assert stack[name]["Properties"]["ReservedConcurrentExecutions"] == {
            "Fn::If": [f"With{which}Concurrency", {"Ref": f"{which}Concurrency"}, {"Ref": "AWS::NoValue"}]
        }
        assert parameters[f"{which}Concurrency"]["Default"] == 0
    # If the others have reserved concurrency, one execution is reserved for the sweeper.
    assert stack["SweeperFunction"]["Properties"]["ReservedConcurrentExecutions"] == {
        "Fn::If": ["WithSweeperConcurrency", 1, {"Ref": "AWS::NoValue"}]
    }


def test_alarms_watch_every_function_and_table(stack: Resources) -> None:
    watched: dict[str, set[str]] = {}
    for alarm in of(stack, "AWS::CloudWatch::Alarm").values():
        assert alarm["TreatMissingData"] == "notBreaching"
        for metric in alarm.get("Metrics", []):
            if "MetricStat" in metric:
                of_what = metric["MetricStat"]["Metric"]
                watched.setdefault(of_what["MetricName"], set()).add(of_what["Dimensions"][0]["Value"]["Ref"])
    tables = {"LogTable", "CheckpointTable"}
    assert watched == {
        **dict.fromkeys(("Errors", "Throttles"), FUNCTIONS),
        "Duration": WITH_URL,  # the sweeper's time limit is less than a minute
        **dict.fromkeys(("ReadThrottleEvents", "WriteThrottleEvents"), tables),
    }


def test_the_dashboard_is_json_and_shows_every_function(stack: Resources) -> None:
    text = stack["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(text)["widgets"]
    assert widgets
    assert all(f"${{{function}}}" in text for function in FUNCTIONS)


def test_the_resources_of_sam_local_are_not_created_on_aws(stack: Resources) -> None:
    for_development = {name: each for name, each in stack.items() if "ApiGateway" in each["Type"]}
    assert for_development
    assert {each.get("Condition") for each in for_development.values()} == {"OnSamLocal"}
    assert template_parameters()["SamLocal"]["Default"] == "false"


def test_the_template_uses_only_yaml_that_cloudformation_can_read() -> None:
    tokens = yaml.scan((ROOT / "template.yaml").read_text())
    assert not [token for token in tokens if isinstance(token, yaml.AliasToken | yaml.AnchorToken)]
