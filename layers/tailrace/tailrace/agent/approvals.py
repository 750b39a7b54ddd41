"""Approvals: the questions of LangChain's HumanInTheLoopMiddleware, known by their shape.

Such a question is `{"action_requests": [{"name", "args", "description"?}], "review_configs": [{"action_name",
"allowed_decisions"}]}`, and its answer `{"decisions": [...]}` with a decision for each action, in order.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.errors import shorten
from tailrace.events import encode

# The decisions that say all that is needed by their type.
_PLAIN = ("approve", "reject")
# Maximum length of an action's argument in the question, in characters.
_SHOWN = 500


class _Action(msgspec.Struct):
    name: str
    args: dict[str, Any] = {}
    description: str = ""


class _Review(msgspec.Struct):
    action_name: str
    allowed_decisions: list[str]


class _Request(msgspec.Struct):
    action_requests: list[_Action]
    review_configs: list[_Review]

    def allowed(self, action: _Action) -> list[str]:
        """The decisions that are allowed for an action."""
        return next((each.allowed_decisions for each in self.review_configs if each.action_name == action.name), [])


class _Edited(msgspec.Struct):
    name: str
    args: dict[str, Any]


class _Decision(msgspec.Struct):
    type: str
    edited_action: _Edited | None = None
    message: str | None = None


class _Response(msgspec.Struct):
    decisions: list[_Decision]


def is_approval(value: Any) -> bool:
    """Whether the value of an interrupt asks to approve actions."""
    return _request(value) is not None


def decision_text(value: Any) -> str:
    """The question for people: each action, and what may be decided about it."""
    request = _known(value)
    return "\n\n".join(
        f"{_told(action)}\nDecide about {action.name}: {', '.join(request.allowed(action))}."
        for action in request.action_requests
    )


def as_decisions(value: Any, text: str) -> Any:
    """The answer that a text stands for: "approve" or "reject" for every action, or JSON; else the text itself."""
    if text in _PLAIN:
        return {"decisions": [{"type": text} for _ in _known(value).action_requests]}
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return text


def why_no_decisions(value: Any, answer: Any) -> str | None:
    """Why the answer does not decide what the question asks; None if it does."""
    request = _known(value)
    actions = request.action_requests
    try:
        decisions = msgspec.convert(answer, _Response).decisions
    except msgspec.ValidationError as error:
        return f"{error}. {_right(request)}"
    if len(decisions) != len(actions):
        return f"it has {len(decisions)} decisions for {len(actions)} actions. {_right(request)}"
    for number, (action, decision) in enumerate(zip(actions, decisions, strict=True), 1):
        if decision.type not in request.allowed(action):
            return f"decision {number} is {shorten(decision.type)!r}. {_right(request)}"
        if decision.type == "edit" and decision.edited_action is None:
            return f'decision {number} has no `edited_action`, which is {{"name", "args"}} of the action to run.'
        if decision.type == "respond" and decision.message is None:
            return f"decision {number} has no `message`, which is the text that stands for the action's result."
    return None


def without_call(description: str, name: Any, args: Any) -> str:
    """The description without the call that LangChain's own ends with, its arguments as Python writes them."""
    return description.partition(f"\n\nTool: {name}\nArgs: {args}")[0]


def _told(action: _Action) -> str:
    """The action with its arguments, one a line: an author's description may have none."""
    words = without_call(action.description, action.name, action.args)
    shown = [f"  {name}: {shorten(encode(value).decode(), _SHOWN)}" for name, value in action.args.items()]
    return "\n".join([*([words] if words else []), action.name, *shown])


def _right(request: _Request) -> str:
    allowed = "; ".join(f"{each.name}: {', '.join(request.allowed(each))}" for each in request.action_requests)
    return f'Send {{"decisions": [{{"type": "approve"}}, …]}} with a decision for each action. Allowed are {allowed}.'


def _request(value: Any) -> _Request | None:
    try:
        return msgspec.convert(value, _Request)
    except msgspec.ValidationError:
        return None


def _known(value: Any) -> _Request:
    request = _request(value)
    assert request is not None, "`is_approval` is asked first"
    return request
