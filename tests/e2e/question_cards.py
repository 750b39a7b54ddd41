"""The cards of questions alone on a page, and questions for them."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Browser, Page, Route

from tests.support.browser import unknown_context
from tests.support.processes import ROOT

ORIGIN = "http://cards.test/"
HTML = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Cards</title>
<link rel="stylesheet" href="styles.css"><link rel="stylesheet" href="questions.css">
<body><input aria-label="Elsewhere"><main class="place"></main></body></html>"""
TYPES = {".js": "text/javascript", ".css": "text/css"}
MOUNT = """async () => {
    const { QuestionsView } = await import("/questions-view.js");
    window.sent = [];
    window.held = null;
    window.release = () => {};
    const onAnswer = async ({ parts }) => {
        window.sent.push(parts);
        const refusal = await window.held;
        window.held = null;
        if (refusal) throw new Error(refusal);
    };
    window.view = new QuestionsView({ onAnswer });
    document.querySelector("main").replaceChildren(window.view.element);
    document.activeElement.blur();
}"""

BOOKING = {
    "title": "Booking",
    "type": "object",
    "properties": {
        "guest_name": {"type": "string", "title": "Guest Name"},
        "people": {"type": "integer", "minimum": 1, "default": 2},
        "price": {"type": "number"},
        "room": {"enum": ["inside", "outside", "terrace"], "default": "outside"},
        "smoking": {"type": "boolean", "default": False},
        "vegan": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
        "day": {"type": "string", "format": "date"},
        "email": {"type": ["string", "null"], "format": "email"},
        "address": {"$ref": "#/$defs/Address"},
        "billing": {"$ref": "#/$defs/Address", "title": "Billing address"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "guests": {"type": "array", "items": {"$ref": "#/$defs/Guest"}},
        "prices": {"type": "object", "additionalProperties": {"type": "number"}},
        "version": {"const": 3},
    },
    "required": ["guest_name", "people", "day", "address", "version"],
    "$defs": {
        "Address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "zip": {"type": "string"}},
            "required": ["street"],
        },
        "Guest": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}},
    },
}
MAIL = {"to": "ada@example.com", "copies": 2, "headers": {"urgent": True, "tags": ["a"]}, "body": ""}
APPROVAL: dict[str, Any] = {
    "action_requests": [
        {"name": "send_mail", "args": MAIL, "description": f"Mail needs a look\n\nTool: send_mail\nArgs: {MAIL}"},
        {"name": "refund", "args": {"amount": 120.5}},
    ],
    "review_configs": [
        {"action_name": "send_mail", "allowed_decisions": ["approve", "edit", "reject", "respond"]},
        {"action_name": "refund", "allowed_decisions": ["approve", "reject"]},
    ],
}


def decision(kind: str, **properties: Any) -> dict[str, Any]:
    """The schema of one of LangChain's decisions, as pydantic writes it."""
    types = {"type": {"const": kind, "title": "Type", "type": "string"}, **properties}
    return {"type": "object", "title": f"{kind.title()}Decision", "properties": types, "required": list(types)}


# As HumanInTheLoopMiddleware asks about one call of a tool, with `interrupt_mode="per_call"`.
CALL = {"type": "tool_approval", "tool_call_id": "1", "name": "book", "args": {"people": 1}, "description": ""}
CALL_SCHEMA = {
    "discriminator": {"propertyName": "type"},
    "oneOf": [{"$ref": f"#/$defs/{name}"} for name in ("ApproveDecision", "EditDecision", "RespondDecision")],
    "$defs": {
        "ApproveDecision": decision("approve"),
        "EditDecision": decision("edit", edited_action={"$ref": "#/$defs/EditedAction"}),
        "EditedAction": {
            "type": "object",
            "properties": {"name": {"const": "book", "type": "string"}, "args": {"$ref": "#/$defs/book"}},
            "required": ["name", "args"],
        },
        "RespondDecision": decision("respond", message={"title": "Message", "type": "string"}),
        "book": {
            "type": "object",
            "properties": {"people": {"title": "People", "type": "integer"}},
            "required": ["people"],
        },
    },
}


class Cards:
    """A QuestionsView on an empty page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    async def open(cls, browser: Browser) -> Cards:
        async def serve(route: Route) -> None:
            path = ROOT / "frontend" / route.request.url.removeprefix(ORIGIN)
            if path.is_file():
                await route.fulfill(body=path.read_text(), content_type=TYPES[path.suffix])
            else:
                await route.fulfill(body=HTML, content_type="text/html")

        page = await (await unknown_context(browser, viewport={"width": 800, "height": 1200})).new_page()
        await page.route(f"{ORIGIN}**", serve)
        await page.goto(ORIGIN)
        return cls(page)

    async def mount(self) -> None:
        """Put a new view on the page."""
        await self.page.evaluate(MOUNT)

    async def draw(self, *questions: dict[str, Any], state: str = "input-required", message: str = "") -> None:
        """Draw a model with these questions, as after a new message of the agent."""
        model = {"questions": list(questions), "state": state, "message": message}
        await self.page.evaluate("model => { window.model = model; view.draw(model); }", model)

    async def ask(self, value: Any, **more: Any) -> None:
        """Draw one question."""
        await self.draw({"id": "a", "value": value, "node": "ask", **more})

    async def hold(self) -> None:
        """Let the next answer wait for `release`."""
        await self.page.evaluate("() => { window.held = new Promise((resolve) => (window.release = resolve)); }")

    async def release(self, refusal: str = "") -> None:
        """Take the answer that waits, or refuse it."""
        await self.page.evaluate("refusal => window.release(refusal)", refusal)

    async def sent(self) -> list[list[dict[str, Any]]]:
        """The parts of each message that was sent."""
        sent: list[list[dict[str, Any]]] = await self.page.evaluate("window.sent")
        return sent

    async def answers(self) -> list[Any]:
        """The answers to the question "a" that were sent."""
        messages = await self.sent()
        assert [list(part) for [part] in messages] == [["data"]] * len(messages)
        assert [list(part["data"]["answers"]) for [part] in messages] == [["a"]] * len(messages)
        return [part["data"]["answers"]["a"] for [part] in messages]


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


async def type_into(page: Page, label: str, text: str) -> None:
    await page.get_by_label(label, exact=True).press_sequentially(text)
