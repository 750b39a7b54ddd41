"""An agent for tests of the page. The first word of a message says what it does; everything else is repeated.

It remembers the messages of its conversation. `steps 300` runs 300 tools. `lines 40, 20 before NAME` writes 40 lines,
and waits after 20 of them (gates.py).
"""

from __future__ import annotations

import base64
import re
from typing import Any, Literal

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel, Field

from tailrace import AgentApp, AgentCard, Skill, ask, file, progress, request, result, write
from tests.sample_agents.gates import pass_gates

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
PRICES = """## Prices

| item | price |
| --- | ---: |
| tea | 2.5 |

- [x] priced
- [ ] paid

```sh
make run
```
"""
MAIL = {"name": "send_mail", "args": {"to": "ada@example.com", "copies": 2}, "description": "Send it?"}
DECISIONS = ["approve", "edit", "reject", "respond"]
APPROVAL = {
    "action_requests": [MAIL],
    "review_configs": [{"action_name": "send_mail", "allowed_decisions": DECISIONS}],
}


class Trip(BaseModel):
    """Where to, and for how long."""

    city: str = Field(description="Where to go", min_length=1)
    days: int = Field(ge=1, le=30)
    by: Literal["train", "boat"] = "train"
    window: bool = False


@tool
async def look_up(word: str) -> str:
    """Look a word up."""
    progress(f"looking for {word}", done=1, total=1)
    return f"{word} is a word."


async def tables() -> str:
    result("prices", [{"item": "tea", "price": 2.5}, {"item": "=coffee", "price": 10}])
    result("settings", {"colour": "blue", "nested": {"depth": [1, 2, {"three": None}]}})
    file("pixel.png", PIXEL, media_type="image/png")
    file("notes.txt", "first line\nsecond line\n")
    return PRICES


async def steps(count: int) -> str:
    for number in range(count):
        await look_up.ainvoke({"word": f"word {number}"})
    return f"{count} steps."


async def lines(count: int) -> str:
    for number in range(1, count + 1):
        write(f"- line {number}\n")
        await pass_gates(number)
    return ""


async def answer_of(command: str, rest: str, earlier: list[str]) -> str:
    match command:
        case "tables":
            return await tables()
        case "steps":
            return await steps(int(rest))
        case "lines":
            return await lines(int(re.findall(r"\d+", rest)[0]))
        case "recall":
            return f"You said: {', '.join(earlier)}."
        case "pick":
            return f"You picked {ask('Which colour?', options=['red', 'green'])}."
        case "code":
            return f"The code is {ask('Which code?', schema={'type': 'string', 'pattern': '^[A-Z]{3}$'})}."
        case "trip":
            return f"Booked: {ask('Where to?', schema=Trip)}"
        case "approve":
            return f"Decided: {interrupt(APPROVAL)}"
        case "name":
            return f"Hello {ask('What is your name?')}!"
        case "fail":
            raise RuntimeError("The kettle is cold.")
        case "files":
            return ", ".join(f"{each.filename} ({each.media_type})" for each in request().files)
    return f"You said {command} {rest}".strip()


async def work(state: MessagesState) -> dict[str, list[Any]]:
    command, *others = request().text.split()  # with the replies
    rest = " ".join(others)
    earlier = [str(message.text) for message in state["messages"][:-1] if message.type == "human"]
    answer: list[Any] = [AIMessage(content=await answer_of(command, rest, earlier))]
    return {"messages": answer}


skill = Skill(id="help", name="Help", description="Helps.", tags=["help"], examples=["recall", "tables"])
card = AgentCard(
    name="assistant",
    description="Does what the first word says.",
    version="1",
    skills=[skill],
    input_modes=("text/plain", "image/*"),
)
app = AgentApp(StateGraph(MessagesState).add_node(work).add_edge(START, "work"), card)
