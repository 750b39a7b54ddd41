"""An agent's graph, with what its author has said about running it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel

# The most steps of a graph whose author names no limit. LangGraph's own default, 10,007, would let a loop run for days.
DEFAULT_RECURSION_LIMIT = 50


@dataclass(frozen=True)
class AgentGraph:
    """The compiled graph of the agent `name`.

    `config` is the author's. It wins over the config that is bound to the graph.
    """

    name: str
    graph: Pregel[Any, Any, Any, Any]
    config: RunnableConfig = field(default_factory=RunnableConfig)

    @property
    def checkpointer(self) -> Any:
        """The saver that keeps the graph's checkpoints."""
        return self.graph.checkpointer

    @property
    def recursion_limit(self) -> int:
        """The most steps of one run: the author's limit, or `DEFAULT_RECURSION_LIMIT`."""
        for config in (self.config, self.graph.config or {}):
            if limit := config.get("recursion_limit"):
                return limit
        return DEFAULT_RECURSION_LIMIT
