"""An agent for tests of other people's chats. The first word of a message says what it does.

`mail` calls a tool that needs an approval, `look` one that gives sources, a file and data, `ask` asks a question, and
`slow` stops in the middle of its answer until there is a file `go` in the data folder. Everything else is repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import tool

from tailrace import AgentApp, AgentCard, ask, file, progress, result
from tailrace.config import Settings
from tests.support.models import Speaker, calls

FOLDER = Path(Settings.load().data_dir)
SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>"
SLOW = "It flows slowly."


@tool
async def send_mail(to: str) -> str:
    """Send a mail."""
    return f"sent to {to}"


@tool
async def look_up(word: str) -> dict[str, Any]:
    """Look a word up."""
    progress(f"looking for {word}", done=1, total=2)
    result("sources", [{"url": "https://example.com/mill", "title": "Mills"}])
    result("counts", {"mill": 1})
    file("plot", SVG, filename="mill.svg", media_type="image/svg+xml")
    return {"word": word, "found": True}


@tool
async def ask_user(question: str) -> str:
    """Ask the user."""
    return f"the user says {ask(question, options=['red', 'green'])}"


def _reply(messages: Sequence[BaseMessage]) -> AIMessage:
    last = max(place for place, each in enumerate(messages) if each.type == "human")
    command, _, rest = str(messages[last].text).partition(" ")
    if len(messages) > last + 1:
        return AIMessage(f"The tool has answered: {messages[-1].text}")
    match command:
        case "mail":
            return calls("send_mail", {"to": rest}, text="I will.", call=f"call-{last}")
        case "look":
            reply = calls("look_up", {"word": rest}, call=f"call-{last}")
            reply.content = [{"type": "reasoning", "reasoning": "A word."}, {"type": "text", "text": "Let me see."}]
            return reply
        case "ask":
            return calls("ask_user", {"question": "Which colour?"}, call=f"call-{last}")
        case "slow":
            return AIMessage(SLOW)
    return AIMessage(f"You said {messages[last].text}, message {sum(each.type == 'human' for each in messages)}.")


class _Model(Speaker):
    async def _astream(self, messages: list[BaseMessage], *args: Any, **options: Any) -> Any:
        slow = str(messages[-1].text).startswith("slow")
        place = 0
        async for chunk in super()._astream(messages, *args, **options):
            while slow and place == 2 and not (FOLDER / "go").exists():
                await asyncio.sleep(0.02)
            place += 1
            yield chunk


graph = create_agent(
    _Model(reply=_reply),
    [send_mail, look_up, ask_user],
    middleware=[HumanInTheLoopMiddleware(interrupt_on={"send_mail": True})],
)
app = AgentApp(graph, AgentCard(name="chatting", description="For tests.", version="1", skills=[]))
