"""A copy of the project with one more agent: a folder with a list of packages, and one entry in the template."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.deploy.programs import ROOT

ENTRY = "      - MetricAnalyst\n"
HANDLER = """
import iniconfig  # its own package
from langgraph.graph import START, MessagesState, StateGraph
from mangum import Mangum
from tailrace import AgentApp, AgentCard, Skill, write

async def greet(state: MessagesState) -> None:
    write(f"Hello, {state['messages'][-1].content} {iniconfig.__name__}!")

graph = StateGraph(MessagesState).add_node(greet).add_edge(START, "greet")
skill = Skill(id="greet", name="Greet", description="Says hello.", tags=["hello"])
app = AgentApp(graph, AgentCard(name="my_greeter", description="Greets.", version="1", skills=[skill]))
handler = Mangum(app, lifespan="off")
"""


def with_added_agent(tree: Path) -> Path:
    """Make a copy of the project with the agent `my_greeter` in the folder `tree`; return it."""
    tree.mkdir()
    for name in (".cache", "deploy", "events", "frontend", "layers", "local", "samconfig.toml"):
        (tree / name).symlink_to(ROOT / name)
    stand_in = ROOT.parent / "shared"
    if stand_in.exists() and not (tree.parent / "shared").exists():
        (tree.parent / "shared").symlink_to(stand_in)
    shutil.copytree(ROOT / "functions", tree / "functions", ignore=shutil.ignore_patterns("__pycache__"))
    folder = tree / "functions" / "my_greeter"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "handler.py").write_text(HANDLER)
    (folder / "requirements.txt").write_text("iniconfig>=2\n")
    template = (ROOT / "template.yaml").read_text()
    assert template.count(ENTRY) == 1
    (tree / "template.yaml").write_text(template.replace(ENTRY, f"{ENTRY}      - MyGreeter\n"))
    return tree
