"""One run of the metric analyst's graph, without a server."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessageChunk
from langgraph.checkpoint.memory import InMemorySaver

from metric_analyst.graph import builder
from tailrace.authoring.emission import EmittedArtifact, EmittedStatus, EmittedText
from tailrace.authoring.emit import set_request
from tailrace.inputs.request import File, Request


def request_with(*files: tuple[str, str], text: str = "what is wrong?", data: list[Any] | None = None) -> Request:
    """A request with `files`, each a name and a CSV text."""
    parts = [File(filename=name, media_type="text/csv", text=content) for name, content in files]
    return Request(text=text, data=data or [], files=parts)


class GraphRun:
    """The analyst's graph in this process, and what it emits, by kind."""

    def __init__(self) -> None:
        self.graph = builder.compile(checkpointer=InMemorySaver())
        self.config: Any = {"configurable": {"thread_id": "1"}}
        self.progress: list[EmittedStatus] = []
        self.report = ""
        self.tokens = ""
        self.results: dict[str, Any] = {}
        self.question: str | None = None

    async def go(self, request: Request, reply: Any = None) -> GraphRun:
        """Run the graph for `request`, or resume it with `reply`."""
        set_request(request)
        self.question = None
        async for part in self.graph.astream(
            {} if reply is None else reply, self.config, stream_mode=["custom", "messages", "updates"], version="v2"
        ):
            self._take(part)
        return self

    def _take(self, part: Any) -> None:
        data = part["data"]
        if part["type"] == "updates" and "__interrupt__" in data:
            self.question = data["__interrupt__"][0].value
        elif part["type"] == "messages" and isinstance(data[0], AIMessageChunk):
            self.tokens += str(data[0].text)
        elif isinstance(data, EmittedText):
            self.report += data.text
        elif isinstance(data, EmittedArtifact):
            self.results[data.artifact] = data.part.data
        elif isinstance(data, EmittedStatus):
            self.progress.append(data)

    async def state(self) -> dict[str, Any]:
        values: dict[str, Any] = (await self.graph.aget_state(self.config)).values
        return values
