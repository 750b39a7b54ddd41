"""The agent's questions as the AI SDK has them: approvals of tool calls, or questions of our own.

An approval is what LangChain's HumanInTheLoopMiddleware asks (docs/PROTOCOL.md, section 5.12): one call of a tool, or a
batch of them. Everything else is a question.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import chunks
from tailrace.agent.answers import bare_answer, named_answers
from tailrace.agent.questions import text_of
from tailrace.authoring.ask import Question
from tailrace.errors import RequestError
from tailrace.events import Message

_APPROVING = ("approve", "edit")


class Action(msgspec.Struct, frozen=True):
    """A call of a tool that the user is to approve. `call` is the model's id of it, "" if that is not told."""

    approval_id: str
    name: str
    args: Any
    call: str = ""
    reason: str | None = None


class Decision(msgspec.Struct, frozen=True):
    """What the user has decided about an action. `kind` is LangChain's word: approve, edit, reject or respond.

    `args` are the edited arguments.
    """

    approval_id: str
    kind: str
    reason: str | None = None
    args: Any = msgspec.UNSET

    @property
    def approved(self) -> bool:
        return self.kind in _APPROVING


class Response(msgspec.Struct, frozen=True):
    """What a page has sent back for an approval."""

    approved: bool
    reason: str | None = None


def actions_of(question: Question) -> list[Action]:
    """The actions that a question asks to approve; none if it asks something else."""
    value = question.value if isinstance(question.value, dict) else {}
    if value.get("type") == "tool_approval":
        return [_action(question.id, value, str(value.get("tool_call_id") or ""))]
    requests = value.get("action_requests")
    if not isinstance(requests, list) or not all(isinstance(each, dict) for each in requests):
        return []
    return [_action(f"{question.id}:{place}", each, "") for place, each in enumerate(requests)]


def _action(approval_id: str, asked: dict[str, Any], call: str) -> Action:
    description = asked.get("description")
    reason = description if isinstance(description, str) and description else None
    return Action(approval_id, str(asked.get("name") or "tool"), asked.get("args"), call, reason)


def question_data(question: Question, state: Any, answer: Any = msgspec.UNSET) -> chunks.QuestionData:
    """A question as a part. Its text is the one for people."""
    agent = question.value.get("agent") if isinstance(question.value, dict) else None
    data = chunks.Question(
        question=text_of(question),
        state=state,
        value=question.value,
        node=question.node,
        agent=agent if isinstance(agent, str) else "",
        schema=question.schema,
        answer=answer,
    )
    return chunks.QuestionData(question.id, data)


def answers_in(questions: list[Question], reply: Message) -> dict[str, Any]:
    """The answers in a reply that was taken, by the id of their question."""
    named = named_answers(reply)
    if named is None:
        return {questions[0].id: bare_answer(reply)} if len(questions) == 1 else {}
    return {each.id: named[each.id] for each in questions if each.id in named}


def decisions_in(question: Question, answer: Any) -> list[Decision]:
    """The decisions in an answer, in the order of the question's actions."""
    actions = actions_of(question)
    listed = answer.get("decisions") if isinstance(answer, dict) else None
    given = listed if isinstance(listed, list) else [answer] * len(actions)
    return [_decision(action, each) for action, each in zip(actions, given, strict=False)]


def _decision(action: Action, given: Any) -> Decision:
    if not isinstance(given, dict):
        return Decision(action.approval_id, str(given).strip())  # the text "approve" or "reject"
    message, edited = given.get("message"), given.get("edited_action")
    args = edited.get("args", msgspec.UNSET) if isinstance(edited, dict) else msgspec.UNSET
    return Decision(action.approval_id, str(given.get("type")), message if isinstance(message, str) else None, args)


def answers_to(questions: list[Question], responses: dict[str, Response]) -> dict[str, Any]:
    """The answers that a page's responses are, by the id of their question. `responses` are by the approval's id.

    Raises:
        RequestError: a question has several actions, and only some of them have a response.
    """
    answers: dict[str, Any] = {}
    for question in questions:
        actions = actions_of(question)
        given = [responses.get(action.approval_id) for action in actions]
        if not any(given):
            continue
        missing = [action.approval_id for action, each in zip(actions, given, strict=True) if each is None]
        if missing:
            raise RequestError(
                f"The approvals {', '.join(missing)} have no response. The agent asks for all "
                f"{len(actions)} at once: answer each of them before the message is sent."
            )
        decided = [_as_decision(each) for each in given if each is not None]
        single = question.value.get("type") == "tool_approval"
        answers[question.id] = decided[0] if single else {"decisions": decided}
    return answers


def _as_decision(response: Response) -> dict[str, Any]:
    if response.approved:
        return {"type": "approve"}
    return {"type": "reject", **({"message": response.reason} if response.reason else {})}
