"""Loops are expanded as sam expands them, and CloudFormation gets none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.expand import ExpandError, expand
from tests.deploy.programs import ROOT, run

LOOP = {
    "Transform": ["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"],
    "Mappings": {"Size": {"B": {"MB": 2}}},
    "Resources": {
        "Fn::ForEach::Loop": [
            "Name",
            ["A", "B"],
            {
                "${Name}Function": {
                    "Role": {"Fn::Sub": "${${Name}Role.Arn}"},
                    "Text": {"Fn::Sub": "of ${Name}"},
                    "Memory": {"Fn::FindInMap": ["Size", {"Ref": "Name"}, "MB", {"DefaultValue": 1}]},
                }
            },
        ]
    },
}


def test_a_loop_makes_each_resource_with_its_name_and_with_what_the_mappings_have_for_it() -> None:
    assert expand(LOOP, local=True) == {
        "Transform": ["AWS::Serverless-2016-10-31"],
        "Metadata": {},
        "Resources": {
            "AFunction": {"Role": {"Fn::Sub": "${ARole.Arn}"}, "Text": "of A", "Memory": 1},
            "BFunction": {"Role": {"Fn::Sub": "${BRole.Arn}"}, "Text": "of B", "Memory": 2},
        },
    }


@pytest.mark.parametrize(
    ("loop", "error"),
    [
        (["Name", ["a_b", "ab"], {"&{Name}": {}}], "Fn::ForEach::Loop makes 'ab', but the template has it already"),
        (["Name", {"Ref": "Names"}, {"${Name}": {}}], "must have a list of names"),
        (["Name", ["A"]], "must have a variable, a list of names, and what to repeat"),
        (["Name", ["A"], {"${Name}": {"Fn::FindInMap": ["Size", {"Ref": "Name"}, "MB"]}}], "Mappings has no Size.A.MB"),
    ],
)
def test_a_loop_that_cannot_be_expanded_is_an_error(loop: list[Any], error: str) -> None:
    with pytest.raises(ExpandError, match=error):
        expand({**LOOP, "Resources": {"Fn::ForEach::Loop": loop}})


def test_sam_expands_the_template_to_the_same_resources(sam: Path) -> None:
    # sam also fills in the values of parameters, which are for CloudFormation. So it gets ours to fill in as well.
    code = """
from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions
from samcli.yamlhelper import yaml_parse
from deploy.expand import expand

def filled(template):
    return expand_language_extensions(template, {}, enabled=True).expanded_template["Resources"]

template = yaml_parse(open("template.yaml").read())
theirs, ours = filled(template), filled({**expand(template, local=True), "Transform": template["Transform"]})
assert len(ours) > 60
assert ours == theirs, [name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)]
"""
    done = run(sam / "python", "-c", code, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
