"""What `make sam-local` puts into sam's layer cache."""

from __future__ import annotations

from pathlib import Path

from deploy.sam_local.layers import cache_layers

TEMPLATE = """\
Resources:
  GatewayFunction:
    Properties:
      Layers:
      - Ref: RuntimeLayer
      - Ref: AgentsLayer
"""


def layers_of(folder: Path, content: str, image: str) -> list[str]:
    """Build two layers, one with `content`; return the layers in the template."""
    template = folder / "build" / "template.yaml"
    for name in ("RuntimeLayer", "AgentsLayer"):
        (template.parent / name / "python").mkdir(parents=True, exist_ok=True)
    (template.parent / "AgentsLayer" / "python" / "module.py").write_text(content)
    template.write_text(TEMPLATE)
    cache_layers(template, folder / "layers", image)
    *_, runtime, agents = template.read_text().splitlines()
    return [runtime.strip(" -"), agents.strip(" -")]


def test_layers_are_published_ones_whose_contents_are_in_the_cache(tmp_path: Path) -> None:
    runtime, agents = layers_of(tmp_path, "a = 1\n", "image")
    assert runtime.startswith("arn:aws:lambda:us-east-1:000000000000:layer:RuntimeLayer:")
    version = agents.removeprefix("arn:aws:lambda:us-east-1:000000000000:layer:AgentsLayer:")
    assert version.isdecimal()
    (cached,) = (tmp_path / "layers").glob(f"AgentsLayer-{version}-*")
    assert (cached / "python" / "module.py").read_text() == "a = 1\n"


def test_a_layers_number_follows_from_its_contents_and_the_image(tmp_path: Path) -> None:
    runtime, agents = layers_of(tmp_path, "a = 1\n", "image")
    assert layers_of(tmp_path, "a = 1\n", "image") == [runtime, agents]
    changed_runtime, changed_agents = layers_of(tmp_path, "a = 2\n", "image")
    assert changed_runtime == runtime
    assert changed_agents != agents
    assert not {runtime, agents} & set(layers_of(tmp_path, "a = 1\n", "another image"))
