"""`template.yaml` as CloudFormation gets it, as JSON: `render.py TEMPLATE PARAMETERS`, in sam's own environment."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from deploy.expand import expand


def render(text: str, parameters: dict[str, str], code: str) -> Any:
    template = expand(yaml_parse(text), local=parameters.get("SamLocal") == "true")
    # `sam deploy` replaces these by URIs that change with the content.
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://bucket/{code}"
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = f"s3://bucket/{parameters.get('Layers', 'layers')}"
    parameters = {name: value for name, value in parameters.items() if name in template["Parameters"]}
    for name, parameter in template["Parameters"].items():
        parameters.setdefault(name, str(parameter.get("Default", "")))
    return Translator({}, Parser()).translate(template, parameters)


if __name__ == "__main__":
    parameters = json.loads(sys.argv[2])
    os.environ["AWS_DEFAULT_REGION"] = parameters.pop("Region", "us-east-1")
    json.dump(render(Path(sys.argv[1]).read_text(), parameters, parameters.pop("Code", "code")), sys.stdout)
