"""Expands the loops of a template: `python -m deploy.expand [--local] TEMPLATE [OUTPUT]`, with sam's own Python.

`make build` does this with the template that `sam build` wrote. So CloudFormation gets a template without loops,
without what only `sam local` needs (unless `--local`), and without the transform `AWS::LanguageExtensions`. On AWS this
transform would write the values of parameters into the template, and it refuses `DeletionPolicy:
RetainExceptOnCreate` (github.com/aws-cloudformation/cfn-language-discussion, issue 139).

Source: "Fn::ForEach" and "Fn::FindInMap", AWS CloudFormation Template Reference. `sam` has an expansion of its own; a
test compares the two.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

_TRANSFORM = "AWS::LanguageExtensions"
_LOOP = "Fn::ForEach::"
# Of what only `sam local` needs.
_PARAMETER, _CONDITION = "SamLocal", "OnSamLocal"


class ExpandError(Exception):
    """The template has something that cannot be expanded. The message is for the user."""


def expand(template: dict[str, Any], *, local: bool = False) -> dict[str, Any]:
    """Return `template` without loops, and if not `local`, without what only `sam local` needs.

    Lookups in mappings with keys that are known are replaced by what they find.

    Raises:
        ExpandError: a loop has no list of names, two results of loops have one name, or a mapping has no value.
    """
    mappings = template.get("Mappings", {})
    expanded = {name: _looked_up(_unrolled(part), mappings) for name, part in template.items() if name != "Mappings"}
    if left := {name: each for name, each in mappings.items() if f"'Fn::FindInMap': ['{name}'" in str(expanded)}:
        expanded["Mappings"] = left
    transforms = template.get("Transform", [])
    expanded["Transform"] = [each for each in transforms if each != _TRANSFORM]
    # cfn-lint does not see the Globals of what a loop makes, so it has to be silent about what they have.
    expanded["Metadata"] = {name: each for name, each in template.get("Metadata", {}).items() if name != "cfn-lint"}
    return expanded if local else _for_aws(expanded)


def _for_aws(expanded: dict[str, Any]) -> dict[str, Any]:
    def is_needed(part: str, name: str, each: Any) -> bool:
        if part == "Resources":
            return bool(each.get("Condition") != _CONDITION)
        return (part, name) not in (("Parameters", _PARAMETER), ("Conditions", _CONDITION))

    return {
        part: {name: each for name, each in value.items() if is_needed(part, name, each)}
        if isinstance(value, dict)
        else value
        for part, value in expanded.items()
    }


def _unrolled(value: Any) -> Any:
    if isinstance(value, list):
        return [_unrolled(each) for each in value]
    if not isinstance(value, dict):
        return value
    unrolled: dict[str, Any] = {}
    for key, each in value.items():
        for name, result in _passes(key, each) if key.startswith(_LOOP) else [(key, _unrolled(each))]:
            if name in unrolled:
                raise ExpandError(
                    f"{key} makes {name!r}, but the template has it already: another name differs only in what "
                    "is no letter or digit, or has the name of a function of Tailrace's own."
                )
            unrolled[name] = result
    return unrolled


def _passes(loop: str, definition: Any) -> list[tuple[str, Any]]:
    """Return what the passes of a loop make, each with its name."""
    try:
        variable, names, body = definition
    except (TypeError, ValueError):
        raise ExpandError(f"{loop} must have a variable, a list of names, and what to repeat.") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ExpandError(f"{loop} has {names!r}, but must have a list of names.")
    return [item for name in names for item in _unrolled(_replaced(body, variable, name)).items()]


def _replaced(value: Any, variable: str, name: str) -> Any:
    """Return `value` with the loop's `variable` replaced, also in keys."""
    if isinstance(value, str):
        plain = re.sub("[^0-9A-Za-z]", "", name)
        return value.replace(f"${{{variable}}}", name).replace(f"&{{{variable}}}", plain)
    if isinstance(value, list):
        return [_replaced(each, variable, name) for each in value]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": variable}:
        return name
    replaced = {_replaced(key, variable, name): _replaced(each, variable, name) for key, each in value.items()}
    text = replaced.get("Fn::Sub")
    return text if isinstance(text, str) and "${" not in text else replaced


def _looked_up(value: Any, mappings: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_looked_up(each, mappings) for each in value]
    if not isinstance(value, dict):
        return value
    lookup = value.get("Fn::FindInMap")
    if lookup is None or not all(isinstance(key, str) for key in lookup[:3]):
        return {key: _looked_up(each, mappings) for key, each in value.items()}
    mapping, first, second, *default = lookup
    try:
        return mappings[mapping][first][second]
    except KeyError:
        if default:
            return default[0]["DefaultValue"]
        raise ExpandError(f"Mappings has no {mapping}.{first}.{second}.") from None


def main() -> None:
    from samcli.yamlhelper import yaml_dump, yaml_parse  # type: ignore[import-not-found]

    files = [each for each in sys.argv[1:] if each != "--local"]
    if len(files) not in (1, 2):
        sys.exit("usage: python -m deploy.expand [--local] TEMPLATE [OUTPUT]")
    template, output = Path(files[0]), Path(files[-1])
    try:
        output.write_text(yaml_dump(expand(yaml_parse(template.read_text()), local="--local" in sys.argv)))
    except (ExpandError, OSError) as error:
        sys.exit(f"expand: {error}")


if __name__ == "__main__":
    main()
