"""With `stream="final"` nobody outside sees anything of an answer before the graph's guardrails have run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import PIIMiddleware
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from tests.support.events import artifact_text, message, metadata
from tests.support.in_process import agent, system
from tests.support.models import calls, says

SECRET = "ada@example.com"
FINAL = {"stream": "final"}


def guarded() -> Any:
    """An agent whose model and tool say an address that its guardrail redacts."""

    @tool
    async def look(place: str) -> str:
        """Look."""
        return f"{SECRET} lives there"

    answer = AIMessage([{"type": "reasoning", "reasoning": f"I know {SECRET}."}, {"type": "text", "text": SECRET}])  # type: ignore[list-item]
    model = says(calls("look", {"place": SECRET}, text=f"Asking {SECRET}."), answer)
    redact = PIIMiddleware("email", strategy="redact", apply_to_output=True)
    return create_agent(model, [look], middleware=[redact])


def check(events: list[dict[str, Any]]) -> None:
    """Check that the answer comes once, when all nodes have ended, and that the secret does not come."""
    assert SECRET not in str(events)
    assert artifact_text(events) == "[REDACTED_EMAIL]"
    kinds = [metadata(event)["kind"] for event in events]
    answers = [place for place, event in enumerate(events) if "artifactUpdate" in event]
    assert len(answers) == 1
    assert "node_end" in kinds
    assert "node_end" not in kinds[answers[0] :]


async def test_over_a2a_a_stream_has_only_what_the_guardrail_lets_through() -> None:
    async with agent(guarded(), options=FINAL) as served:
        async with served.stream("SendStreamingMessage", {"message": message("Where?")}) as frames:
            events = [frame.result async for frame in frames]
        check(events)
        task = events[0]["task"]["id"]
        async with served.stream("SubscribeToTask", {"id": task}, cursor=0) as frames:
            check([frame.result async for frame in frames])
        assert SECRET not in str(await served.result("GetTask", {"id": task}))


async def test_at_the_gateway_stream_task_and_log_have_only_what_the_guardrail_lets_through(tmp_path: Path) -> None:
    async with system(guarded(), tmp_path, options=FINAL) as sut:
        task = await sut.post({"text": "Where?"})
        check((await sut.read(task)).events)
        check((await sut.read(task)).events)
        assert SECRET not in (await sut.http.get(f"/api/tasks/{task}")).text
        assert SECRET.encode() not in b"".join(event for batch in await sut.log.read(task) for event in batch.events)
