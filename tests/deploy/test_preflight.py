"""`make deploy` says what would fail before it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.agents import MOST_AGENTS
from tests.deploy.accounts import Account, account
from tests.deploy.programs import ROOT
from tests.support.http import serve

SHIPPED = "      - Orchestrator\n      - LogAnalyst\n      - MetricAnalyst\n"
SECRET = "correct-horse-battery-staple"


class Limits:
    """What moto lacks: Lambda's GetAccountSettings, and the models of Bedrock."""

    executions = 1000
    models = ("anthropic.claude-v2:1", "us.amazon.nova-lite-v1:0")
    agreed = True
    # The answer instead of these; or of STS and CloudFormation, which ask by POST.
    refusal: Response | None = None

    async def model(self, request: Request) -> Response:
        foundation, profile = self.models
        if request.path_params["id"] == (profile if "profiles" in request.url.path else foundation):
            return JSONResponse({})
        refusal = {"message": "The provided model identifier is invalid."}
        return JSONResponse(refusal, 400, {"x-amzn-errortype": "ValidationException"})

    async def availability(self, request: Request) -> Response:
        assert request.path_params["id"] in ("anthropic.claude-v2:1", "amazon.nova-lite-v1:0")
        agreement = {"status": "AVAILABLE" if self.agreed else "NOT_AVAILABLE"}
        return JSONResponse({"authorizationStatus": "AUTHORIZED", "agreementAvailability": agreement})

    async def refuse(self, _: Request) -> Response:
        assert self.refusal is not None
        return self.refusal

    async def __call__(self, _: Request) -> Response:
        return self.refusal or JSONResponse({"AccountLimit": {"ConcurrentExecutions": self.executions}})


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
def empty_account() -> Iterator[Account]:
    with account() as made:
        yield made


@pytest.fixture
async def aws(empty_account: Account, limits: Limits) -> AsyncIterator[Account]:
    routes = [
        Route("/2016-08-19/account-settings", limits.__call__),
        Route("/foundation-models/{id}", limits.model),
        Route("/inference-profiles/{id}", limits.model),
        Route("/foundation-model-availability/{id}", limits.availability),
        Route("/", limits.refuse, methods=["POST"]),
    ]
    async with serve(Starlette(routes=routes)) as url:
        empty_account.environ |= {"AWS_ENDPOINT_URL_LAMBDA": url, "AWS_ENDPOINT_URL_BEDROCK": url}
        yield empty_account


async def preflight(
    aws: Account, *parameters: str, stack: str = "tailrace", secret: str = SECRET, **variables: str
) -> tuple[int, str]:
    done = await anyio.to_thread.run_sync(
        lambda: aws.run("preflight", stack, *parameters, TAILRACE_ACCESS_SECRET=secret, **variables)
    )
    return done.status, f"{done.printed}{done.error}\n"


async def test_a_fresh_account_with_enough_of_everything_passes(aws: Account) -> None:
    status, said = await preflight(aws)
    assert status == 0
    assert "account 123456789012" in said
    assert "tailrace will be created." in said
    assert "1000 executions at once" in said
    assert "FAILS" not in said
    assert "agents" not in said


async def test_the_quota_of_a_new_account_is_named_with_how_to_ask_for_more(aws: Account, limits: Limits) -> None:
    limits.executions = 10
    status, said = await preflight(aws)
    assert status == 0
    assert "10 executions at once, as in a new account. One run takes up to 6" in said
    assert "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384" in said
    assert "--region us-east-1" in said
    limits.executions = 5
    status, said = await preflight(aws)
    assert status == 1
    assert "FAILS  concurrency  5 executions at once" in said
    assert said.splitlines()[-1].startswith("tailrace: nothing was deployed")


async def test_reservations_that_lambda_would_refuse_fail(aws: Account, limits: Limits) -> None:
    limits.executions = 120
    assert (await preflight(aws, "GatewayConcurrency=10"))[0] == 0
    status, said = await preflight(aws, "GatewayConcurrency=10", "AgentConcurrency=5", "TtlDays=30")
    assert status == 1
    assert "of which 100 must stay free, but the parameters reserve 26" in said


async def test_reservations_are_recommended_that_the_account_has_room_for(aws: Account, limits: Limits) -> None:
    status, said = await preflight(aws)
    assert status == 0
    # 900 of 1,000 may be reserved: for each run two of the gateway's and one of each agent's, and the sweeper's.
    assert "For 179 runs at once" in said
    assert "GatewayConcurrency=358 AgentConcurrency=179" in said
    status, said = await preflight(aws, "GatewayConcurrency=358", "AgentConcurrency=179")
    assert (status, "runs at once" in said) == (0, False)
    limits.executions = 140  # room for 7
    assert "runs at once" not in (await preflight(aws))[1]


async def test_a_stack_from_before_secrets_were_hashed_loses_none_without_a_word(aws: Account) -> None:
    aws.deploy(AccessSecret="****")
    assert " note  secret       If the stack has one, it ends with this update" in (await preflight(aws, secret=""))[1]
    assert "it ends with this update" not in (await preflight(aws))[1]


async def test_a_parameter_that_is_not_named_counts_with_the_value_that_it_keeps(aws: Account, limits: Limits) -> None:
    aws.deploy(Model="openai:gpt-5.1", ModelKey="tailrace/openai", GatewayConcurrency="10")
    aws.client("secretsmanager").create_secret(Name="tailrace/openai", SecretString="sk-1")
    limits.executions = 120
    status, said = await preflight(aws, "Model=openai:gpt-5.2")
    assert (status, "Secrets Manager has tailrace/openai" in said) == (0, True)
    status, said = await preflight(aws, "AgentConcurrency=5")
    assert status == 1
    assert "the parameters reserve 26" in said
    # As it is written for `sam`.
    status, said = await preflight(aws, 'ModelKey=""')
    assert status == 1
    assert "FAILS  model        Model=openai:… needs ModelKey=NAME" in said
    # The key of the provider before is not asked for.
    aws.client("secretsmanager").delete_secret(SecretId="tailrace/openai", ForceDeleteWithoutRecovery=True)
    assert (await preflight(aws, f"Model=bedrock_converse:{limits.models[0]}"))[0] == 0
    assert (await preflight(aws, 'Model=""', 'ModelKey=""'))[0] == 0


async def test_what_an_earlier_stack_has_left_is_named_with_its_remedy(aws: Account) -> None:
    aws.deploy()
    assert "tailrace is CREATE_COMPLETE and will be updated." in (await preflight(aws))[1]
    aws.client("cloudformation").delete_stack(StackName="tailrace")
    status, said = await preflight(aws)
    assert status == 1
    assert "FAILS  log groups   /tailrace/tailrace/gateway are left" in said
    assert "make destroy STACK=tailrace" in said
    assert " note  tables       tailrace-LogTable-" in said


async def test_another_projects_stack_is_not_overwritten(aws: Account) -> None:
    aws.deploy("A shop")
    status, said = await preflight(aws)
    assert status == 1
    assert "FAILS  stack        tailrace is another project's (A shop): make deploy STACK=another-name" in said


@pytest.mark.parametrize("stack", ["a" * 43, "two words", "1st"])
async def test_a_name_that_aws_would_refuse_fails(aws: Account, stack: str) -> None:
    status, said = await preflight(aws, stack=stack)
    assert status == 1
    assert (
        f"FAILS  stack        {stack!r} must have letters, digits and hyphens, a letter first, and at most 42" in said
    )
    assert (await preflight(aws, stack="a" * 42))[0] == 0


def project(folder: Path, monkeypatch: pytest.MonkeyPatch, *entries: str, **names: str) -> None:
    """Make a project with these entries in its template, and with agents whose folders and cards have these names."""
    (folder / "functions").mkdir()
    for agent, name in names.items():
        (folder / "functions" / agent).mkdir()
        card = f'AgentCard(name="{name}", description="d", version="1", skills=[])'
        (folder / "functions" / agent / "handler.py").write_text(f"app = AgentApp(graph, {card})")
    listed = "".join(f"      - {entry}\n" for entry in entries)
    template = (ROOT / "template.yaml").read_text()
    assert template.count(SHIPPED) == 1
    (folder / "template.yaml").write_text(template.replace(SHIPPED, listed))
    monkeypatch.setattr("deploy.preflight.FUNCTIONS", folder / "functions")
    monkeypatch.setattr("deploy.preflight.TEMPLATE", folder / "template.yaml")


async def test_more_agents_than_a_stack_has_room_for_fail(
    aws: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {f"agent_{number}": f"agent_{number}" for number in range(MOST_AGENTS + 1)}
    project(tmp_path, monkeypatch, *(f"Agent{number}" for number in range(MOST_AGENTS + 1)), **folders)
    status, said = await preflight(aws)
    assert status == 1
    assert "FAILS  agents       31, but CloudFormation's 500 resources for a stack are enough for 30" in said


async def test_an_agent_whose_card_has_another_name_than_its_folder_fails(
    aws: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, monkeypatch, "Greeter", "MyAgent", greeter="Boss", my_agent="My Agent")
    status, said = await preflight(aws)
    assert status == 1
    assert "FAILS  agents       functions/greeter has a card with the name 'Boss', but AWS finds an agent by" in said
    assert "my_agent" not in said


async def test_an_agent_without_an_entry_or_a_folder_is_named(
    aws: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, monkeypatch, "Greeter", my_agent="my_agent")
    status, said = await preflight(aws)
    assert status == 1
    assert "FAILS  agents       template.yaml has Greeter, but functions/ has no such folder with a handler.py" in said
    assert "note  agents       functions/my_agent is not deployed" in said
    assert "add `- MyAgent` to its list of agents" in said


@pytest.mark.parametrize(
    ("entries", "folders", "told"),
    [
        ("Gateway", [], "template.yaml has Gateway, which is no agent"),
        ("GateWay", ["gate_way"], "functions/gate_way has the letters of Tailrace's own function gateway: rename it"),
        ("MyAgent", ["my_agent", "my-agent"], "functions/my-agent has the same letters and digits as another folder"),
        ("MyAgent Myagent", ["my_agent"], "template.yaml has Myagent twice"),
        (
            "My-Agent",
            ["my-agent"],
            "template.yaml has My-Agent, but an entry has letters and digits only: write MyAgent",
        ),
        ("Email", ["email"], "functions/email would hide a module of this name that Python or a package has"),
        ("Starlette", ["starlette"], "functions/starlette would hide a module of this name"),
        ("Agnt", ["agênt"], "functions/agênt must have letters, digits, _ and -"),
        ('"MyAgent" # mine', ["my_agent"], ""),
        ("1stAgent", ["1st-agent"], ""),
    ],
)
async def test_names_of_agents_that_would_fail_on_aws_are_told(
    aws: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: str, folders: list[str], told: str
) -> None:
    listed = [entries] if "#" in entries else entries.split()
    project(tmp_path, monkeypatch, *listed, **{folder: folder for folder in folders})
    status, said = await preflight(aws)
    assert (status, told in said) == (1 if told else 0, True), said


async def test_missing_credentials_and_regions_are_said_before_anything_else(aws: Account) -> None:
    status, said = await preflight(aws, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert status == 1
    assert said.splitlines()[0].startswith("FAILS  credentials  There are none on this machine: run `aws configure`")
    status, said = await preflight(aws, AWS_DEFAULT_REGION="")
    assert status == 1
    assert "FAILS  region       None is set: AWS_DEFAULT_REGION=us-east-1 make deploy" in said
    status, said = await preflight(aws, AWS_PROFILE="nobody")
    assert status == 1
    assert said.strip() == "tailrace: The config profile (nobody) could not be found"


def query_error(code: str, message: str) -> Response:
    """An error of STS and of CloudFormation."""
    return Response(
        f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>", 403
    )


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("ExpiredToken", "run `aws sso login`, or get new keys"),
        ("InvalidClientTokenId", "the key is wrong or gone, or the region is one that its account has to enable"),
        ("SignatureDoesNotMatch", "the secret key is wrong, or the clock of this machine"),
    ],
)
async def test_credentials_that_aws_does_not_accept_are_told_with_what_to_do(
    aws: Account, limits: Limits, code: str, remedy: str
) -> None:
    limits.refusal = query_error(code, "The security token is no good.")
    status, said = await preflight(aws, AWS_ENDPOINT_URL_STS=aws.environ["AWS_ENDPOINT_URL_LAMBDA"])
    assert status == 1
    refused = f"AWS does not accept them. {code}: The security token is no good. What to do: {remedy}"
    assert f"FAILS  credentials  {refused}" in said


@pytest.mark.parametrize(
    "variables", [{"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9"}, {"AWS_DEFAULT_REGION": "us east"}], ids=str
)
async def test_a_region_that_cannot_be_reached_is_not_blamed_on_the_credentials(
    aws: Account, variables: dict[str, str]
) -> None:
    status, said = await preflight(aws, **variables)
    assert status == 1
    region = variables.get("AWS_DEFAULT_REGION", "us-east-1")
    assert said.startswith(f"FAILS  region       {region} cannot be reached: its name is wrong, or this machine has no")


async def test_an_account_that_is_not_activated_yet_fails(aws: Account, limits: Limits) -> None:
    needed = {"message": "The AWS Access Key Id needs a subscription for the service"}
    limits.refusal = JSONResponse(needed, 403, {"x-amzn-errortype": "SubscriptionRequiredException"})
    status, said = await preflight(aws)
    assert status == 1
    assert "FAILS  concurrency  It could not be looked at. SubscriptionRequiredException" in said
    assert "finish its sign-up in the console" in said


async def test_without_the_right_to_look_at_the_stack_the_deployment_would_fail(aws: Account, limits: Limits) -> None:
    limits.refusal = query_error("AccessDenied", "not authorized to perform: cloudformation:DescribeStacks")
    status, said = await preflight(aws, AWS_ENDPOINT_URL_CLOUDFORMATION=aws.environ["AWS_ENDPOINT_URL_LAMBDA"])
    assert status == 1
    assert "FAILS  stack        It could not be looked at. AccessDenied: not authorized" in said


async def test_a_secret_that_the_template_would_refuse_fails(aws: Account) -> None:
    status, said = await preflight(aws, secret="short")
    assert status == 1
    assert "FAILS  secret       It must have 16 to 256 letters" in said
    status, said = await preflight(aws, secret="")
    assert status == 0
    assert " note  people       There is no issuer and no secret, so only machines with tokens will get in" in said


async def test_a_service_that_may_not_be_asked_is_a_note(aws: Account) -> None:
    aws.environ["AWS_ENDPOINT_URL_LAMBDA"] = aws.environ["AWS_ENDPOINT_URL"]  # moto does not know the request
    status, said = await preflight(aws)
    assert status == 0
    assert " note  concurrency  It could not be looked at. 404" in said
    assert "CloudFront" in said


@pytest.mark.parametrize("model", Limits.models)
async def test_a_model_that_bedrock_has_passes(aws: Account, model: str) -> None:
    status, said = await preflight(aws, f"Model=bedrock_converse:{model}")
    assert status == 0
    assert f"  ok   model        Bedrock has {model}." in said
    assert "terms" not in said


async def test_a_model_to_whose_terms_nobody_has_agreed_is_a_note(aws: Account, limits: Limits) -> None:
    limits.agreed = False
    status, said = await preflight(aws, f"Model=bedrock_converse:{limits.models[1]}")
    assert status == 0
    assert " note  model        This account has not agreed to the terms of amazon.nova-lite-v1:0" in said


async def test_a_model_or_a_key_that_is_not_there_fails(aws: Account) -> None:
    status, said = await preflight(aws, "Model=bedrock_converse:nobody.knows-v1:0")
    assert status == 1
    assert "FAILS  model        Bedrock has no model and no inference profile nobody.knows-v1:0 in us-east-1" in said
    status, said = await preflight(aws, "Model=anthropic:claude")
    assert status == 1
    assert "FAILS  model        Model=anthropic:… is of no provider that the template knows" in said
    status, said = await preflight(aws, "Model=openai:gpt-5.1")
    assert status == 1
    assert "FAILS  model        Model=openai:… needs ModelKey=NAME" in said
    wanted = ("Model=openai:gpt-5.1", "ModelKey=tailrace/openai")
    status, said = await preflight(aws, *wanted)
    assert status == 1
    assert "FAILS  model's key  Secrets Manager has no secret tailrace/openai in us-east-1" in said
    aws.client("secretsmanager").create_secret(Name="tailrace/openai", SecretString="sk-1")
    assert (await preflight(aws, *wanted))[0] == 0


def test_the_value_of_a_deployed_parameter_is_printed(empty_account: Account) -> None:
    assert empty_account.run("stacks", "tailrace", "Model").printed.strip() == ""
    empty_account.deploy(Model="openai:gpt-5.1")
    assert empty_account.run("stacks", "tailrace", "Model").printed.strip() == "openai:gpt-5.1"
    assert empty_account.run("stacks", "tailrace", "Unknown").printed.strip() == ""
