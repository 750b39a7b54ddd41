"""Says what would stop a deployment, before it does: `python -m deploy.preflight STACK [Name=value …]`.

`make deploy` begins with it. The names and values are the template's parameters; the secret is the environment
variable TAILRACE_ACCESS_SECRET. It only reads. Exit status 1 if something would fail.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from deploy import door
from deploy.agents import examined
from deploy.refusals import is_denied, is_not_activated, is_of_the_region, reason_of
from deploy.stacks import Stack, belongings_of, find_stack
from tailrace_start.template import entries_in

_ROOT = Path(__file__).parents[1]
FUNCTIONS, TEMPLATE = _ROOT / "functions", _ROOT / "template.yaml"
# A run of the sample takes a gateway for its stream and one for requests, the orchestrator, both analysts, the sweeper.
ONE_RUN = 6
# Lambda keeps this many executions free of reservations.
UNRESERVED = 100
# What a service's answer can be besides its result. A proxy may answer something else than AWS's format.
_REFUSALS = (BotoCoreError, ClientError, ResponseParserError)
# With fewer runs at once, what is reserved would be missed.
_WORTHWHILE = 10
QUOTA = "L-B99A9384"
# The longest name that CloudFront takes, and what the template adds to the stack's for its function.
_LONGEST_NAME, _ADDED = 64, "-{region}-viewer-host"
_NAME = re.compile(r"[A-Za-z][0-9A-Za-z-]*")
PROVIDERS = ("bedrock_converse", "openai")
_SECRET = re.compile(r"[0-9A-Za-z._~-]{16,256}")
_SETTLED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "REVIEW_IN_PROGRESS")


@dataclass(frozen=True)
class Finding:
    """What was found. A problem would make the deployment fail."""

    kind: Literal["ok", "note", "problem"]
    what: str
    text: str


def examine(session: boto3.Session, name: str, parameters: dict[str, str], secret: str) -> Iterable[Finding]:
    """Yield a finding for each thing that is looked at. Without credentials or a region that is all."""
    yield from _secret(secret)
    if session.get_credentials() is None:
        remedy = "run `aws configure` or `aws sso login`, or set AWS_PROFILE"
        yield Finding("problem", "credentials", f"There are none on this machine: {remedy}.")
        return
    if not session.region_name:
        yield Finding("problem", "region", "None is set: AWS_DEFAULT_REGION=us-east-1 make deploy, or `aws configure`.")
        return
    try:
        caller = session.client("sts").get_caller_identity()
    except _REFUSALS as error:
        if is_of_the_region(error):
            text = f"{session.region_name} cannot be reached: its name is wrong, or this machine has no network"
            yield Finding("problem", "region", f"{text}. {reason_of(error)}")
        else:
            yield Finding("problem", "credentials", f"AWS does not accept them. {reason_of(error)}")
        return
    yield Finding("ok", "credentials", f"account {caller['Account']}, {caller['Arn']}")
    yield Finding("ok", "region", session.region_name)
    if problem := _wrong_name(name, session.region_name):
        yield Finding("problem", "stack", f"{problem}: make deploy STACK=another-name")
        return
    try:
        stack = find_stack(session, name)
    except _REFUSALS as error:
        # `sam deploy` looks at it, too.
        kind: Literal["note", "problem"] = "problem" if is_denied(error) or is_not_activated(error) else "note"
        yield Finding(kind, "stack", f"It could not be looked at. {reason_of(error)}")
    else:
        # A parameter that is not named keeps its value.
        parameters = {**(stack.parameters if stack is not None and stack.ours else {}), **parameters}
        people = parameters.get("OidcIssuer", "") or parameters.get("Auth", "")
        yield from _checked("stack", lambda: _stack(session, name, stack, secret=secret, people=people))
    checks: tuple[tuple[str, Callable[[], Iterable[Finding]]], ...] = (
        ("concurrency", lambda: _concurrency(session, parameters)),
        ("agents", lambda: _agents(name)),
        ("door", lambda: _door(parameters, bool(secret))),
        ("CloudFront", lambda: _cloudfront(session)),
        ("model", lambda: _model(session, parameters)),
    )
    for what, check in checks:
        yield from _checked(what, check)


def _checked(what: str, check: Callable[[], Iterable[Finding]]) -> Iterable[Finding]:
    try:
        yield from check()
    except _REFUSALS as error:
        kind: Literal["note", "problem"] = "problem" if is_not_activated(error) else "note"
        yield Finding(kind, what, f"It could not be looked at. {reason_of(error)}")


def _wrong_name(name: str, region: str) -> str:
    longest = _LONGEST_NAME - len(_ADDED.format(region=region))
    if _NAME.fullmatch(name) and len(name) <= longest:
        return ""
    return f"{name!r} must have letters, digits and hyphens, a letter first, and at most {longest} of them in {region}"


def _agents(stack: str) -> Iterable[Finding]:
    for kind, text in examined(stack, FUNCTIONS, TEMPLATE):
        yield Finding(kind, "agents", text)


def _door(parameters: dict[str, str], secret: bool) -> Iterable[Finding]:
    secret = secret or bool(parameters.get("AccessSecretSha256", ""))
    for kind, text in door.examined(parameters, secret=secret, functions=FUNCTIONS, template=TEMPLATE):
        yield Finding(kind, "door", text)


def _secret(secret: str) -> Iterable[Finding]:
    if secret and not _SECRET.fullmatch(secret):
        yield Finding(
            "problem", "secret", "It must have 16 to 256 letters, digits and any of .-_~: openssl rand -hex 32"
        )


def _stack(session: boto3.Session, name: str, stack: Stack | None, *, secret: str, people: str) -> Iterable[Finding]:
    if stack is not None:
        yield _judged(stack)
        if "AccessSecret" in stack.parameters and not secret:
            text = "If the stack has one, it ends with this update, which keeps only a secret's hash"
            yield Finding("note", "secret", f"{text}: to keep it, name it once more, as SECRET=…")
        return
    yield Finding("ok", "stack", f"{name} will be created.")
    if not secret and not people:
        text = "There is no issuer and no secret, so only machines with tokens will get in"
        yield Finding("note", "people", f"{text}: docs/DEPLOY.md says how people sign in")
    left = belongings_of(session, name, None)
    if left.log_groups:
        text = f"{', '.join(left.log_groups)} are left from an earlier stack, and the new one needs these names"
        yield Finding("problem", "log groups", f"{text}: make destroy STACK={name}")
    if left.tables:
        text = f"{', '.join(left.tables)} are left from an earlier stack. The new one will have its own."
        yield Finding("note", "tables", f"{text} To delete them with their tasks: make destroy STACK={name}")


def _judged(stack: Stack) -> Finding:
    if not stack.ours:
        text = f"{stack.name} is another project's ({stack.description or 'without a description'})"
        return Finding("problem", "stack", f"{text}: make deploy STACK=another-name")
    if stack.status in _SETTLED:
        return Finding("ok", "stack", f"{stack.name} is {stack.status} and will be updated.")
    if stack.status.endswith("_IN_PROGRESS"):
        return Finding("problem", "stack", f"{stack.name} is {stack.status}: wait until that is over.")
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        remedy = f"aws cloudformation continue-update-rollback --stack-name {stack.name}"
    else:
        # A stack whose creation was rolled back can only be deleted.
        remedy = f"make destroy STACK={stack.name}, then make deploy"
    return Finding("problem", "stack", f"{stack.name} is {stack.status} and cannot be updated: {remedy}")


def _concurrency(session: boto3.Session, parameters: dict[str, str]) -> Iterable[Finding]:
    account: Any = session.client("lambda").get_account_settings()["AccountLimit"]
    limit = account["ConcurrentExecutions"]
    more = (
        "Ask for more, which is free and takes hours or days: aws service-quotas request-service-quota-increase "
        f"--service-code lambda --quota-code {QUOTA} --desired-value 1000 --region {session.region_name}"
    )
    gateway, agent = (_number(parameters, key) for key in ("GatewayConcurrency", "AgentConcurrency"))
    agents = len(entries_in(TEMPLATE.read_text()))
    reserved = gateway + agent * agents + bool(gateway or agent)
    if reserved and limit - reserved < UNRESERVED:
        text = (
            f"{limit} executions at once, of which {UNRESERVED} must stay free, but the parameters reserve {reserved}"
        )
        yield Finding("problem", "concurrency", f"{text}: leave out GatewayConcurrency and AgentConcurrency. {more}")
    elif limit < ONE_RUN:
        yield Finding(
            "problem", "concurrency", f"{limit} executions at once, and one run takes up to {ONE_RUN}. {more}"
        )
    elif limit < 2 * ONE_RUN:
        text = f"{limit} executions at once, as in a new account. One run takes up to {ONE_RUN}, so a second one waits."
        yield Finding("note", "concurrency", f"{text} {more}")
    else:
        yield Finding("ok", "concurrency", f"{limit} executions at once; one run takes up to {ONE_RUN}.")
        # A run takes two of the gateway and one of each agent; the sweeper has one.
        runs = (account.get("UnreservedConcurrentExecutions", limit) - UNRESERVED - 1) // (2 + agents)
        if not reserved and runs >= _WORTHWHILE:
            values = f"make deploy PARAMETERS='GatewayConcurrency={2 * runs} AgentConcurrency={runs}'"
            text = "None are reserved: a flood may take those of the account's other functions, and costs without limit"
            what = f"For {runs} runs at once, if there are no others: {values}. Take less if there are."
            yield Finding("note", "concurrency", f"{text}. {what}")


def _cloudfront(session: boto3.Session) -> Iterable[Finding]:
    listed: Any = session.client("cloudfront").list_distributions()["DistributionList"]
    if listed["Quantity"]:
        yield Finding("ok", "CloudFront", "The account has distributions already.")
    else:
        # Whether an account is verified shows only when a distribution is created.
        text = "The account has no distribution yet. If its creation fails with `must be verified`, ask AWS Support to"
        yield Finding(
            "note", "CloudFront", f"{text} verify the account for CloudFront, then: make destroy, make deploy"
        )


def _model(session: boto3.Session, parameters: dict[str, str]) -> Iterable[Finding]:
    provider, _, model = parameters.get("Model", "").partition(":")
    # Bedrock needs no key, and the template gives it none.
    key = parameters.get("ModelKey", "") if provider != "bedrock_converse" else ""
    if provider not in ("", *PROVIDERS):
        text = f"Model={provider}:… is of no provider that the template knows"
        yield Finding("problem", "model", f"{text}: {', '.join(f'{each}:MODEL' for each in PROVIDERS)}")
    elif provider == "openai" and not key:
        text = "Model=openai:… needs ModelKey=NAME, the name of a secret in Secrets Manager that holds the key"
        yield Finding("problem", "model", f"{text}: aws secretsmanager create-secret --name NAME --secret-string KEY")
    elif provider == "bedrock_converse":
        yield from _bedrock(session, model)
    if not key:
        return
    if _is_there(lambda: session.client("secretsmanager").describe_secret(SecretId=key)):
        yield Finding("ok", "model's key", f"Secrets Manager has {key}.")
    else:
        text = f"Secrets Manager has no secret {key} in {session.region_name}"
        yield Finding(
            "problem", "model's key", f"{text}: aws secretsmanager create-secret --name {key} --secret-string KEY"
        )


def _bedrock(session: boto3.Session, model: str) -> Iterable[Finding]:
    bedrock = session.client("bedrock")
    if _is_there(lambda: bedrock.get_foundation_model(modelIdentifier=model)):
        foundation = model
    elif _is_there(lambda: bedrock.get_inference_profile(inferenceProfileIdentifier=model)):
        foundation = model.partition(".")[2]  # us.amazon.nova-lite-v1:0
    else:
        text = f"Bedrock has no model and no inference profile {model} in {session.region_name}"
        yield Finding("problem", "model", f"{text}: aws bedrock list-inference-profiles, list-foundation-models")
        return
    yield Finding("ok", "model", f"Bedrock has {model}.")
    access: Any = bedrock.get_foundation_model_availability(modelId=foundation)
    if access["authorizationStatus"] != "AUTHORIZED" or access["agreementAvailability"]["status"] != "AVAILABLE":
        # The first one who asks a model may have to subscribe to it, for which the agents have no right.
        text = f"This account has not agreed to the terms of {foundation}, so the agents may be refused"
        yield Finding("note", "model", f"{text}: ask it once in Bedrock's playground, in the console")


def _is_there(ask: Callable[[], Any]) -> bool:
    try:
        ask()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ResourceNotFoundException", "ValidationException"):
            return False
        raise
    return True


def _number(parameters: dict[str, str], key: str) -> int:
    value = parameters.get(key, "0")
    return int(value) if value.isdigit() else 0


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python -m deploy.preflight STACK [Name=value …]")
    # As `sam` reads them: Name="" is an empty value.
    given = (each.partition("=")[::2] for each in sys.argv[2:])
    parameters = {key: value.strip("\"'") for key, value in given}
    problems = 0
    try:
        session = boto3.Session()
        for finding in examine(session, sys.argv[1], parameters, os.environ.get("TAILRACE_ACCESS_SECRET", "")):
            sign = {"ok": "  ok  ", "note": " note ", "problem": "FAILS "}[finding.kind]
            print(f"{sign} {finding.what:12} {finding.text}", flush=True)
            problems += finding.kind == "problem"
    except BotoCoreError as error:  # a profile that does not exist, a file that cannot be read
        sys.exit(f"tailrace: {reason_of(error)}")
    if problems:
        sys.exit("tailrace: nothing was deployed; the lines with FAILS say what to do first.")


if __name__ == "__main__":
    main()
