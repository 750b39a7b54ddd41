"""The page's model of a task: messages, questions, artifacts, usage and times."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from tests.e2e.model_events import EXTENSION, artifact, model, status, task
from tests.support.browser import needs_chromium

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

REQUEST = {"text": "Bake\na cake"}


async def test_a_task_has_its_request_its_agent_and_its_times(modules_page: Page) -> None:
    image = {"raw": "aGVsbG8=", "mediaType": "image/png", "filename": "cake.png"}
    events = [
        task(REQUEST, image, {"data": {"eggs": 3}}, ts=500),
        status("state", ts=600),
        status("state", state="COMPLETED", ts=900),
    ]
    task_fields = "[task.id, task.contextId, task.agent, task.title, task.state, task.start, task.end, task.error]"
    assert await model(modules_page, events, task_fields) == ["t1", "c1", "cook", "Bake", "completed", 500, 900, ""]
    assert await model(modules_page, events, "task.messages") == [
        {
            "by": "user",
            "text": "Bake\na cake",
            "files": [{"filename": "cake.png", "bytes": 5, "mediaType": "image/png"}],
            "data": [{"eggs": 3}],
            "parts": [REQUEST, image, {"data": {"eggs": 3}}],
        }
    ]
    assert await model(modules_page, events, "task.request.messageId") == "request"


async def test_an_event_that_is_known_changes_nothing(modules_page: Page) -> None:
    events = [task(REQUEST), artifact("token", "response", "a")]
    again = "[applyEvent(task, 2, events[1]), task.seq, task.answer.text]"
    assert await model(modules_page, events, again) == [False, 2, "a"]


async def test_a_question_that_is_worded_anew_is_one_question(modules_page: Page) -> None:
    events = [
        status("state", "Which host?", state="INPUT_REQUIRED"),
        status("state", "Which of the hosts?", state="INPUT_REQUIRED"),
        status("state", "web-1", role="USER"),
        status("state", "Since when?", state="INPUT_REQUIRED"),
    ]
    shown = "[task.state, task.message, task.questions, task.messages.map(({ by, text }) => `${by}: ${text}`)]"
    messages = ["agent: Which of the hosts?", "user: web-1", "agent: Since when?"]
    questions = [{"id": "", "value": "Since when?"}]
    assert await model(modules_page, events, shown) == ["input-required", "Since when?", questions, messages]


async def test_questions_have_their_whole_values_and_go_with_the_answer(modules_page: Page) -> None:
    approval = {"action_requests": [{"name": "pay", "args": {"sum": 3}}], "review_configs": []}
    delegated = {"question": "How many?", "agent": "baker", "delegated": {"task": "t2"}, "refused": "Not a number."}
    interrupts = [
        {"id": "q1", "value": approval, "node": "act"},
        {"id": "q2", "value": delegated, "node": "ask", "schema": {"type": "integer"}},
    ]
    waiting = status("state", "Two questions", {"data": {"interrupts": interrupts}}, state="INPUT_REQUIRED")
    assert await model(modules_page, [waiting], "task.questions") == [
        interrupts[0],
        {**interrupts[1], "agent": "baker", "refused": "Not a number."},
    ]
    same = (
        "(() => { const before = task.questions; applyEvent(task, 2, events[0]); return before === task.questions; })()"
    )
    assert await model(modules_page, [waiting], same)
    answers = {"answers": {"q1": {"decisions": [{"type": "reject", "message": "too much"}]}, "q2": 4}}
    reply = status("state", {"data": answers}, role="USER")
    answered = "[task.questions, task.messages.at(-1).text]"
    assert await model(modules_page, [waiting, reply], answered) == [[], "reject: too much\n4"]


async def test_what_a_form_or_an_edit_has_answered_is_told_in_words(modules_page: Page) -> None:
    edit = {"type": "edit", "edited_action": {"name": "refund", "args": {"order": 17, "amount": 40}}}
    for answer, words in (
        ({"people": 4, "window": False, "days": ["Fri"]}, 'people: 4\nwindow: No\ndays: ["Fri"]'),
        ({"decisions": [edit, {"type": "approve"}]}, "edit: refund (order: 17, amount: 40)\napprove"),
        (False, "No"),
        ({}, "{}"),
    ):
        reply = status("state", {"data": {"answers": {"q": answer}}}, role="USER")
        assert await model(modules_page, [reply], "task.messages.at(-1).text") == words


async def test_a_task_may_wait_for_the_user_to_sign_in(modules_page: Page) -> None:
    waiting = status("state", "Sign in", state="AUTH_REQUIRED")
    assert await model(modules_page, [waiting], "[task.state, task.signIn]") == ["input-required", True]
    goes_on = [waiting, status("state", "done", role="USER")]
    assert await model(modules_page, goes_on, "[task.state, task.signIn]") == ["working", False]


async def test_a_failed_task_has_its_reason(modules_page: Page) -> None:
    events = [task(REQUEST), status("state", "No oven.", state="FAILED")]
    shown = "[task.state, task.error, task.message, task.messages.length]"
    assert await model(modules_page, events, shown) == ["failed", "No oven.", "No oven.", 1]


async def test_only_a_state_event_of_the_task_itself_has_words_about_its_state(modules_page: Page) -> None:
    events = [
        status("state", "Which host?", state="INPUT_REQUIRED"),
        status("progress", "reading", state="INPUT_REQUIRED", step="x"),
        status("state", "Other agents' question", state="INPUT_REQUIRED", agent="baker", parent="x", origin={"seq": 3}),
    ]
    assert await model(modules_page, events, "[task.agent, task.message, task.questions.length]") == [
        *("cook", "Which host?"),
        1,
    ]


async def test_artifacts_of_each_kind_are_kept_in_order(modules_page: Page) -> None:
    photo = {"raw": "aGk=", "mediaType": "image/png"}
    events = [
        artifact("result", "table", {"data": {"rows": [1]}}, last=True),
        artifact("token", "response", "Hello"),
        artifact("token", "response", ", world", append=True),
        artifact("result", "image-1", photo, last=True),
        artifact("result", "both", "words", photo, last=True),
        artifact("table-part", "table", {"data": {"rows": [2]}}, append=True, last=True),
    ]
    shown = "[...task.artifacts.values()].map(({ name, kind, text, parts, done, version }) => " + (
        "[name, kind, text, parts.length, done, version])"
    )
    assert await model(modules_page, events, shown) == [
        ["table", "data", "", 2, True, 2],
        ["response", "text", "Hello, world", 1, False, 2],
        ["image-1", "files", "", 1, True, 1],
        ["both", "mixed", "words", 2, True, 1],
    ]
    assert await model(modules_page, events, "task.artifacts.get('image-1').mediaType") == "image/png"
    finished = [*events, status("state", state="COMPLETED")]
    assert await model(modules_page, finished, "[...task.artifacts.values()].every(({ done }) => done)")
    # The parts that the events brought are unchanged.
    first_text = "events[1].artifactUpdate.artifact.parts[0].text"
    assert await model(modules_page, events, first_text) == "Hello"


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        (["a", "b"], "b"),
        (["b", "a"], "a"),
        (["response", "a"], "response"),
        (["report", "response"], "report"),
        (["response", "report", "a"], "report"),
        ([], None),
    ],
)
async def test_the_answer_is_a_report_a_response_or_the_newest_text(
    modules_page: Page, names: list[str], answer: str | None
) -> None:
    events = [
        artifact("result", "first data", {"data": 1}),
        *(artifact("token", name, "text") for name in names),
        artifact("result", "last data", {"data": 2}),
    ]
    assert await model(modules_page, events, "task.answer?.name ?? null") == answer


async def test_text_that_is_taken_back_is_gone(modules_page: Page) -> None:
    events = [
        artifact("token", "response", "Once"),
        artifact("token", "response", " half a", append=True),
        artifact("token", "response", "Once"),
        artifact("token", "response", " upon", append=True),
    ]
    assert await model(modules_page, events, "task.answer.text") == "Once upon"
    assert await model(modules_page, events[:3], "[task.answer.text, task.answer.parts]") == [
        "Once",
        [{"text": "Once"}],
    ]
    emptied = [*events, artifact("token", "response", "")]
    assert await model(modules_page, emptied, "[task.answer.name, task.answer.text]") == ["response", ""]


async def test_usage_is_counted_by_model_and_the_sum_of_the_end_wins(modules_page: Page) -> None:
    def usage(step: str, name: str, tokens: int) -> dict[str, Any]:
        return status("usage", step=step, name=name, usage={"input": tokens, "output": 1, "calls": 1})

    events = [
        status("node_start", step="n", name="plan"),
        status("tool_start", step="t", parent="n", name="search"),
        usage("n", "small", 10),
        usage("t", "large", 100),
        usage("t", "large", 100),
    ]
    small, large = {"input": 10, "output": 1, "calls": 1}, {"input": 200, "output": 2, "calls": 2}
    everything = {"input": 210, "output": 3, "calls": 3, "models": {"small": small, "large": large}}
    assert await model(modules_page, events, "task.usage") == everything
    assert await model(modules_page, events, "step('t').usage") == {**large, "models": {"large": large}}
    assert await model(modules_page, events, "step('n').usage") == everything
    ended = [*events, status("state", state="COMPLETED", usage={"input": 900, "output": 9, "calls": 9})]
    assert await model(modules_page, ended, "task.usage") == {
        "input": 900,
        "output": 9,
        "calls": 9,
        "models": {"small": small, "large": large},
    }


WORK = {"agents": 2, "steps": 3, "usage": {"small": {"input": 7, "output": 1, "calls": 2}}}


def snapshot(state: str, *history: tuple[str, str]) -> dict[str, Any]:
    messages = [
        {"messageId": str(number), "role": f"ROLE_{role}", "parts": [{"text": text}]}
        for number, (role, text) in enumerate(history)
    ]
    ended = {"state": f"TASK_STATE_{state}", "timestamp": "2026-11-29T10:00:00Z"}
    if messages[-1]["role"] == "ROLE_AGENT":
        ended["message"] = messages[-1]  # type: ignore[assignment]
    artifacts = [{"artifactId": "response", "name": "response", "parts": [{"text": "Hello"}, {"text": ", world"}]}]
    stored = {"id": "t1", "contextId": "c1", "status": ended, "history": messages, "artifacts": artifacts}
    return {"task": {**stored, "metadata": {EXTENSION: {"seq": 9, "created": 5, "work": WORK}}}}


async def test_a_stored_task_is_the_same_as_its_events(modules_page: Page) -> None:
    shown = """[task.id, task.state, task.message, task.error, task.title, task.questions, task.answer?.text,
        task.messages.map(({ by, text }) => [by, text])]"""
    asked = [("USER", "bake"), ("AGENT", "Which?"), ("AGENT", "Which cake?"), ("USER", "a tart")]
    live = [
        task({"text": "bake"}),
        status("state", "Which?", state="INPUT_REQUIRED"),
        status("state", "Which cake?", state="INPUT_REQUIRED"),
        status("state", "a tart", role="USER"),
        artifact("token", "response", "Hello, world"),
        status("state", "No oven.", state="FAILED"),
    ]
    stored = [snapshot("FAILED", *asked, ("AGENT", "No oven."))]
    assert await model(modules_page, stored, shown) == await model(modules_page, live, shown)
    waits = snapshot("INPUT_REQUIRED", *asked[:3])
    live = [*live[:3], live[4]]
    assert await model(modules_page, [waits], shown) == await model(modules_page, live, shown)
    times = "[task.start, task.answer.done, new Date(task.updatedAt).toISOString()]"
    assert await model(modules_page, stored, times) == [5, True, "2026-11-29T10:00:00.000Z"]
    counts = "[task.counts.agents, task.counts.steps, task.usage.models, task.usage.input]"
    assert await model(modules_page, stored, counts) == [2, 3, WORK["usage"], 7]


LAST_WORDS = [task({"text": "bake"}), status("state", "Here is **cake**.", state="COMPLETED")]


async def test_an_agent_may_answer_with_the_message_of_its_last_state(modules_page: Page) -> None:
    shown = "[task.answer?.text, task.messages.length, [...task.artifacts.values()].map(({ name }) => name)]"
    assert await model(modules_page, LAST_WORDS, shown) == ["Here is **cake**.", 1, ["message"]]
    stored = snapshot("COMPLETED", ("USER", "bake"), ("AGENT", "Here is **cake**."))
    stored["task"]["artifacts"] = []
    assert await model(modules_page, [stored], shown) == ["Here is **cake**.", 1, ["message"]]
    request, words = LAST_WORDS
    # What it says beside its answer is shown too, but not twice.
    answered = [request, artifact("token", "recipe", "Here is **cake**."), words]
    assert await model(modules_page, answered, shown) == ["Here is **cake**.", 1, ["recipe"]]
    answered[1] = artifact("token", "recipe", "Eggs.")
    assert await model(modules_page, answered, shown) == ["Eggs.", 1, ["recipe", "message"]]
    # A file or data in it are not lost.
    file = {"statusUpdate": {"status": {"state": "TASK_STATE_COMPLETED", "message": {"parts": [{"data": 7}]}}}}
    assert await model(modules_page, [request, file], shown) == [None, 1, ["message"]]


async def test_no_name_is_shown_in_another_order_than_it_is_written(modules_page: Page) -> None:
    events = [
        task({"text": "\u202ebake\u2066"}, {"filename": "cake\u202egpj.exe", "raw": ""}),
        artifact("token", "re\u202eport", "Hi"),
    ]
    names = "[task.title, task.messages[0].files[0].filename, [...task.artifacts.values()][0].name]"
    assert await model(modules_page, events, names) == ["bake", "cakegpj.exe", "report"]
