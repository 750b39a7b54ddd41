"""An agent of one's own is a folder, and one entry in the template. Two other files build it and run it."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.agents import MOST_AGENTS
from tests.deploy.added_agent import ENTRY
from tests.deploy.programs import ROOT, Resources, run
from tests.deploy.resources import AGENTS, of, plainly


def test_one_entry_gives_an_agent_all_that_the_others_have(sam: Path, tree: Path, stack: Resources) -> None:
    done = run(sam / "python", "-m", "tests.deploy.render", tree / "template.yaml", "{}")
    assert done.returncode == 0, done.stderr
    rendered: Resources = plainly(json.loads(done.stdout)["Resources"])
    before, after = (_with_lasting_names(resources) for resources in (stack, rendered))
    added = after.keys() - before.keys()
    same = {name.replace("LogAnalyst", "MyGreeter") for name in before if "LogAnalyst" in name}
    assert added == same
    kinds = {rendered[name]["Type"] for name in added}
    assert kinds >= {
        *("AWS::Lambda::Function", "AWS::Lambda::Url", "AWS::Lambda::Alias", "AWS::IAM::Role", "AWS::Logs::LogGroup"),
        *("AWS::CloudWatch::Alarm", "AWS::SSM::Parameter"),
    }
    # Nothing else changes, but for the API that has a path for each agent.
    unchanged = before.keys() - {"AgentsApi", "AgentsApiliveStage"}
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}


def test_a_stack_has_room_for_as_many_agents_as_the_preflight_lets_through(
    sam: Path, tmp_path: Path, stack: Resources
) -> None:
    template = tmp_path / "template.yaml"
    entries = (f"      - Agent{number}\n" for number in range(MOST_AGENTS - len(AGENTS)))
    template.write_text((ROOT / "template.yaml").read_text().replace(ENTRY, "".join([ENTRY, *entries])))
    done = run(sam / "python", "-m", "tests.deploy.render", template, "{}")
    assert done.returncode == 0, done.stderr
    rendered: Resources = plainly(json.loads(done.stdout)["Resources"])
    assert len(rendered) <= 500
    assert len(done.stdout) < 1_000_000
    # Each takes as many as the one before, and no role's or bucket's policy grows with their number.
    each = len([name for name in rendered if name.startswith("Agent7")])
    assert len(rendered) == len(stack) + each * (MOST_AGENTS - len(AGENTS))
    for kind in ("AWS::IAM::Role", "AWS::S3::BucketPolicy"):
        assert {name: of(rendered, kind)[name] for name in of(stack, kind)} == of(stack, kind)


def _with_lasting_names(resources: Resources) -> Resources:
    """Without versions and deployments: their ids are hashes of their contents."""
    return {name: each for name, each in resources.items() if "Version" not in name and "Deployment" not in name}
