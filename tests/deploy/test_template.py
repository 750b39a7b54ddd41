"""The template's promises, checked on the resources that CloudFormation gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.site import PAGE_HEADERS
from tailrace import config
from tailrace.access import dynamodb as access_table
from tailrace.agent.checkpoints import store as checkpoint_store
from tailrace.log import table as log_table
from tests.deploy import resources
from tests.deploy.programs import ROOT, Resources, run
from tests.deploy.resources import AGENTS, FUNCTIONS, WITH_URL, alias_of, as_list, of

Render = Callable[..., Resources]


def test_the_linters_find_nothing_in_the_template_and_in_what_cloudformation_gets(sam: Path, tmp_path: Path) -> None:
    expanded = tmp_path / "expanded.yaml"
    assert run(sam / "python", "-m", "deploy.expand", ROOT / "template.yaml", expanded).returncode == 0
    # A second region, too. `make validate` has sam's own look at it.
    regions = ("--regions", "us-east-1", "eu-central-1")
    linted = run(sam / "cfn-lint", *regions, "--", ROOT / "template.yaml", expanded)
    assert linted.returncode == 0, linted.stdout


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
    for name in [name for name, each in grants.items() if each["Principal"] == "apigateway.amazonaws.com"]:
        # The REST API for other people's clients may call the gateway, and no agent.
        text, values = grants[name]["SourceArn"]["Fn::Sub"]
        assert values["__ApiId__"] == {"Ref": "AgentsApi"}
        assert any(path in text for path in ("/agents/*", "/.well-known/agent-card.json", "/api/agui/*", "/api/chat"))
        assert (grants[name]["Action"], grants[name]["FunctionName"]) == (
            "lambda:InvokeFunction", alias_of("GatewayFunction"),
        )  # fmt: skip
        del grants[name]
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


def test_names_that_are_global_to_an_account_have_the_stack_and_the_region(stack: Resources) -> None:
    names = [
        *(
            each["OriginAccessControlConfig"]["Name"]
            for each in of(stack, "AWS::CloudFront::OriginAccessControl").values()
        ),
        *(
            each["ResponseHeadersPolicyConfig"]["Name"]
            for each in of(stack, "AWS::CloudFront::ResponseHeadersPolicy").values()
        ),
        *(each["Name"] for each in of(stack, "AWS::CloudFront::Function").values()),
        *(each["DashboardName"] for each in of(stack, "AWS::CloudWatch::Dashboard").values()),
    ]
    assert len(names) == 5
    for name in names:
        assert name["Fn::Sub"].startswith("${AWS::StackName}-${AWS::Region}")


def test_the_stack_renders_the_same_for_another_region(stack: Resources, render: Render) -> None:
    assert render(Region="eu-central-1") == stack


def test_cloudfront_keeps_no_error_and_passes_its_body_on(stack: Resources) -> None:
    responses = stack["Distribution"]["Properties"]["DistributionConfig"]["CustomErrorResponses"]
    # All that it would keep for 10 s otherwise.
    kept = {400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504}
    assert responses == [{"ErrorCode": code, "ErrorCachingMinTTL": 0} for code in sorted(kept)]


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("LogTable", log_table.definition),
        ("CheckpointTable", checkpoint_store.definition),
        ("AccessTable", access_table.definition),
    ],
)
def test_each_table_is_as_its_code_defines_it(stack: Resources, name: str, definition: Callable[[str], Any]) -> None:
    table = dict(stack[name]["Properties"])
    wanted = definition("any")
    del wanted["TableName"]
    assert {key: table[key] for key in wanted} == wanted


@pytest.mark.parametrize("table", ["LogTable", "CheckpointTable"])
def test_stored_items_expire(stack: Resources, table: str) -> None:
    properties = stack[table]["Properties"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["DeletionProtectionEnabled"] == {"Fn::If": ["WithDeletionProtection", True, False]}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize("stored", ["LogTable", "CheckpointTable", "FilesBucket", "PageBucket"])
def test_what_is_stored_outlives_the_stack_but_not_a_first_deploy_that_fails(stack: Resources, stored: str) -> None:
    assert (stack[stored]["DeletionPolicy"], stack[stored]["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    # A table that is protected could not be rolled back.
    assert template_parameters()["DeletionProtection"]["Default"] == "off"


def test_tokens_and_sessions_expire_and_go_with_the_stack(stack: Resources) -> None:
    table = stack["AccessTable"]
    assert table["Properties"]["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Delete", "Delete")
    # Restored, it would have tokens that were revoked.
    assert "PointInTimeRecoverySpecification" not in table["Properties"]


def test_the_version_before_the_last_one_is_deleted_because_its_snapshot_costs(stack: Resources) -> None:
    versions = {name: each for name, each in stack.items() if each["Type"] == "AWS::Lambda::Version"}
    assert len(versions) == len(FUNCTIONS)
    assert {each["DeletionPolicy"] for each in versions.values()} == {"Delete"}


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
    agui, chat, api, agents, card = config["CacheBehaviors"]
    assert (api["PathPattern"], agents["PathPattern"]) == ("/api/*", "/agents/*")
    assert card == {**agents, "PathPattern": "/.well-known/agent-card.json"}
    # The first that fits counts. Other people's front ends send no digest, as clients of A2A; a container wants none.
    origin = {"Fn::If": ["WithGatewayContainer", api["TargetOriginId"], agents["TargetOriginId"]]}
    for each, path in ((agui, "/api/agui/*"), (chat, "/api/chat*")):
        assert each == {**agents, "PathPattern": path, "TargetOriginId": origin}
    for each in (api, agents):
        assert each["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # CachingDisabled
        assert each["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"  # AllViewerExceptHostHeader
        assert each["Compress"] is False
        assert {"GET", "POST"} <= set(each["AllowedMethods"])
    origins = {origin["Id"]: origin for origin in config["Origins"]}
    gateway, page = origins[api["TargetOriginId"]], origins[config["DefaultCacheBehavior"]["TargetOriginId"]]
    access = {"Fn::GetAtt": ["GatewayAccess", "Id"]}
    # A gateway in containers is reached by its name, without the signature for the function.
    assert gateway["OriginAccessControlId"] == {"Fn::If": ["WithGatewayContainer", {"Ref": "AWS::NoValue"}, access]}
    assert gateway["DomainName"]["Fn::If"][:2] == ["WithGatewayContainer", {"Ref": "GatewayContainer"}]
    # The limit is the time between two packets; a silent stream sends heartbeats.
    for each in (gateway, origins[agents["TargetOriginId"]]):
        assert each["CustomOriginConfig"]["OriginReadTimeout"] > 2 * resources.config_default("TAILRACE_HEARTBEAT_S")
    assert page["OriginAccessControlId"] == {"Fn::GetAtt": ["PageAccess", "Id"]}
    kinds = {
        name: each["OriginAccessControlConfig"]["OriginAccessControlOriginType"]
        for name, each in of(stack, "AWS::CloudFront::OriginAccessControl").items()
    }
    assert kinds == {"PageAccess": "s3", "GatewayAccess": "lambda"}
    for behaviour in (api, agents, config["DefaultCacheBehavior"]):
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
    (listing,) = [each for each in policy if each["Action"] == "s3:ListBucket"]
    # Of the bucket, which also has checkpoints, the gateway sees the names of uploads only.
    assert (listing["Principal"]["AWS"]["Fn::GetAtt"][0], listing["Condition"]) == (
        "GatewayRole", {"StringLike": {"s3:prefix": "uploads/*"}},
    )  # fmt: skip
    rights = {
        (role["Fn::GetAtt"][0], each["Resource"]["Fn::Sub"].removeprefix("${FilesBucket.Arn}/"), action)
        for each in policy
        if each["Effect"] == "Allow" and each is not listing
        for role in as_list(each["Principal"]["AWS"])
        for action in as_list(each["Action"])
    }
    assert rights == {
        *(("GatewayRole", "uploads/*", f"s3:{verb}Object") for verb in ("Get", "Put", "Delete")),
        ("SweeperRole", "uploads/*", "s3:DeleteObject"),
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


def test_the_doors_are_closed_by_default_and_the_template_knows_no_secret_but_its_hash(stack: Resources) -> None:
    assert template_parameters()["AccessSecretSha256"]["Default"] == ""
    assert "TAILRACE_ACCESS_SECRET" not in stack["GatewayFunction"]["Properties"]["Environment"]["Variables"]
    knowing = {
        name
        for name, function in of(stack, "AWS::Lambda::Function").items()
        if {"Ref": "AccessSecretSha256"} in function["Environment"]["Variables"].values()
    }
    assert knowing == {"GatewayFunction"}
    assert json.dumps(stack).count('{"Ref": "AccessSecretSha256"}') == len(knowing)


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
        agents = {"AgentsLayer", "ModelLayer"} if name in AGENTS else set()
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


def test_the_resources_of_sam_local_are_not_created_on_aws(stack: Resources, render: Render) -> None:
    local = render(SamLocal="true")
    only_there = {local[name]["Type"] for name in local.keys() - stack.keys() if "Deployment" not in name}
    assert only_there == {"AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage"}
    apis = {name.replace("LocalApi", "Function") for name in of(local, "AWS::ApiGatewayV2::Api")}
    assert apis == WITH_URL
    assert stack.keys() <= local.keys()
    assert template_parameters()["SamLocal"]["Default"] == "false"


def test_the_expanded_template_uses_only_yaml_that_cloudformation_can_read(sam: Path, tmp_path: Path) -> None:
    expanded = tmp_path / "expanded.yaml"
    assert run(sam / "python", "-m", "deploy.expand", ROOT / "template.yaml", expanded).returncode == 0
    tokens = yaml.scan(expanded.read_text())
    assert not [token for token in tokens if isinstance(token, yaml.AliasToken | yaml.AnchorToken)]
