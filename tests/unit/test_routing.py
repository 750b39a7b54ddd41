"""Whom the orchestrator asks, and what it tells or asks the user if a request fits no agent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.classify import reads_like_alert
from orchestrator.matching import stem_of
from orchestrator.planning import Specialist, parts_for, plan, specialist_of, with_unique_names
from orchestrator.questions import abilities, is_triage, question_for
from tailrace.a2a.card import AgentCard, Skill, card_json
from tailrace.a2a.incoming import card_in
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.inputs.request import Data, File, Request
from tailrace.inputs.text import Text
from tests.support.shipped_agents import card_of

GREETER = AgentCard(
    name="greeter",
    description="Greets.",
    version="1",
    skills=[Skill(id="greet", name="Greet", description="Says hello.", tags=["hello"])],
)
DEPLOYS = AgentCard(
    name="release_desk",
    description="Knows what went live.",
    version="1",
    skills=[
        Skill(
            id="list-deploys",
            name="Releases",
            description="Lists the releases of a service.",
            tags=["changes"],
            examples=["Which versions went to production today?"],
        )
    ],
)


def known(*cards: AgentCard) -> list[Specialist]:
    urls = {card.name: f"http://{card.name}/" for card in cards}
    return [specialist_of(card_in(card_json(card, urls[card.name]), "test"), urls[card.name]) for card in cards]


LOGS, METRICS = card_of("log_analyst"), card_of("metric_analyst")
ALL = known(LOGS, METRICS, GREETER, DEPLOYS)
LOG = File(filename="a.log", media_type="text/plain", text="2026-01-01T00:00:00Z ERROR a\n")
BLANK = File(filename="empty.log", media_type="text/plain", text=" \n")


def request(text: str = "", *files: File, data: list[Any] | None = None) -> Request:
    parts = [*([text] if text else []), *map(Data, data or []), *files]
    return Request(text=text, data=data or [], files=list(files), parts=parts)


def asked(given: Request, specialists: list[Specialist] = ALL) -> list[str]:
    return [delegation["agent"] for delegation in plan(given, specialists)]


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("say hello", "greeter"),
        ("Greet Ada, please.", "greeter"),
        ("HELLO!", "greeter"),
        ("a greeting for the team", "greeter"),
        ("list the last deployments", "release_desk"),
        ("What was released?", "release_desk"),
        ("which version is in production", "release_desk"),
        ("ask the release desk", "release_desk"),
    ],
)
def test_a_request_in_words_goes_to_the_agent_whose_card_has_them(text: str, agent: str) -> None:
    """The words may be in its name, description, tags, examples or ids, in any case and with any ending."""
    assert asked(request(text)) == [agent]


def test_logs_and_metrics_go_to_the_analysts_and_the_words_to_other_agents_that_match() -> None:
    assert asked(request("What is wrong?", LOG)) == ["log_analyst"]
    assert asked(request("What was deployed?", LOG)) == ["log_analyst", "release_desk"]


def test_the_words_of_pasted_log_lines_choose_no_agent() -> None:
    lines = "2026-01-01T00:00:00Z INFO hello from the release desk\n" * 3
    assert asked(request(f"what is this?\n{lines}")) == ["log_analyst"]


@pytest.mark.parametrize("name", ["catalog", "login", "dialog", "geometrics"])
def test_logs_within_another_word_do_not_make_an_agent_an_analyst(name: str) -> None:
    [specialist] = known(AgentCard(name=name, description="", version="1", skills=[]))
    assert specialist["topics"] == []


@pytest.mark.parametrize(
    "text",
    [
        "checkout is slow",
        "what happened?",
        "5xx above 5 % on shop.example since 14:03",
        "since 2026-01-01T14:03Z",
        "many 502s",
        "an incident",
        "is anything wrong?",
        "Which of these metrics is odd?",
    ],
)
def test_a_request_that_reads_like_an_alert_is_asked_for_logs(text: str) -> None:
    assert asked(request(text)) == []
    assert is_triage(request(text), ALL)
    assert question_for(request(text)).startswith("What should I look at? Send logs or metrics")


def test_the_orchestrators_own_examples_read_like_alerts() -> None:
    examples = [example for skill in card_of("orchestrator").skills for example in skill.examples]
    assert examples
    assert all(reads_like_alert(request(example)) for example in examples)


def test_a_data_part_with_an_alert_reads_like_an_alert() -> None:
    assert is_triage(request(data=[{"alert": {"title": "cheese"}}]), ALL)


def test_a_request_that_fits_no_agent_is_answered_with_what_they_can_do() -> None:
    text = "bake a cake"
    assert asked(request(text)) == []
    assert not is_triage(request(text), ALL)
    assert abilities(request(text), ALL).splitlines() == [
        "No agent here says that it can do this.",
        "",
        f"- `log_analyst`: {LOGS.description} For example: “What changed in these logs since 14:03?”",
        f"- `metric_analyst`: {METRICS.description} For example: “Which of these series changed, and when?”",
        "- `greeter`: Greets.",
        "- `release_desk`: Knows what went live. For example: “Which versions went to production today?”",
        "",
        "Use other words.",
    ]


def test_without_analysts_nobody_is_asked_for_logs() -> None:
    for sent in (request("checkout is slow"), request("", LOG)):
        assert not is_triage(sent, known(GREETER))
        assert "- `greeter`: Greets." in abilities(sent, known(GREETER))
    assert "TAILRACE_SPECIALIST_URLS" in abilities(request("hello"), [])


def painter(name: str, *modes: str) -> AgentCard:
    skill = Skill(id="s", name="Look", description="Looks at a picture.", tags=["picture"])
    return AgentCard(name=name, description="", version="1", skills=[skill], input_modes=modes)


PICTURE = File(filename="a.png", media_type="image/png", content=Text(""), binary=True)


def test_an_image_goes_to_the_agents_that_take_it_and_to_no_other() -> None:
    cards = known(LOGS, GREETER, painter("eyes", "text/plain", "image/*"), painter("blind", "text/plain"))
    assert asked(request("What is in this picture?", PICTURE), cards) == ["eyes"]
    assert asked(request("", PICTURE), cards) == ["eyes"]
    assert asked(request("say hello", PICTURE), cards) == ["eyes"], "the greeter cannot see it"
    assert asked(request("", PICTURE), known(LOGS, GREETER)) == []
    assert abilities(request("", PICTURE), known(LOGS, GREETER)).startswith("No agent here takes image/png.")
    [delegation] = plan(request("look", PICTURE, LOG), known(painter("eyes", "image/png")))
    assert delegation["alone"]
    assert parts_for(request("look", PICTURE, LOG), delegation) == ["look", PICTURE, LOG]


def test_an_agent_that_takes_no_image_gets_the_rest_of_the_request() -> None:
    [delegation] = plan(request("say hello"), known(GREETER))
    sent = request("say hello", data=[{"to": "Ada"}])
    late = {**delegation, "parts": 2}
    assert parts_for(sent, late) == ["say hello", Data({"to": "Ada"})]
    assert parts_for(sent, delegation) == ["say hello"], "a later part is for the agent that has asked for it"


TWO_LINES = "2026-01-01T10:00:05Z ERROR disk full\n2026-01-01T10:00:06Z ERROR disk full"


@pytest.mark.parametrize(
    ("given", "reply", "begins"),
    [
        (
            request("it is slow\nfoo"),
            "foo",
            "Your reply 'foo' has no log lines and no metrics. What should I look at?",
        ),
        (request("it is slow", BLANK), "", "empty.log is empty. What should I look at?"),
        (
            request("it is slow\nfoo", BLANK),
            "foo",
            "empty.log is empty. Your reply 'foo' has no log lines and no",
        ),
        (
            request("it is slow", data=[{"a": 1}]),
            {"a": 1},
            'The data in your reply, {"a":1}, is no response of CloudWatch',
        ),
        (
            request(f"it is slow\n{TWO_LINES}"),
            TWO_LINES,
            "Your reply '2026-01-01T10:00:05Z ERROR disk full 2026-01-01T10:00:06Z ERROR disk full' has fewer than",
        ),
        (request("it is slow\n" + "x" * 999), "x" * 999, f"Your reply '{'x' * 79}…' has no log lines"),
    ],
)
def test_the_next_question_says_what_was_wrong_with_the_answer(given: Request, reply: Any, begins: str) -> None:
    assert asked(given) == []
    assert question_for(given, reply).startswith(begins)


def test_the_first_question_names_a_blank_file() -> None:
    assert question_for(request("", BLANK)).startswith("empty.log is empty. What should I look at?")


@pytest.mark.parametrize(
    "words",
    [
        "greet greets greeted greeting greeter",
        "log logs logged logging",
        "translate translates translated translation translator translating",
        "deploy deploys deployed deployment deployments",
        "query queries queried querying",
        "analyse analysed analyses analysing",
    ],
)
def test_words_with_different_endings_have_the_same_stem(words: str) -> None:
    assert len({stem_of(word) for word in words.split()}) == 1


_odd = st.recursive(
    st.none() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
_card = st.fixed_dictionaries(
    {"name": st.text(min_size=1, max_size=9)},
    optional={
        "description": _odd,
        "skills": _odd
        | st.lists(st.dictionaries(st.sampled_from(["id", "name", "tags", "examples"]), _odd), max_size=3),
        "capabilities": _odd | st.fixed_dictionaries({"extensions": _odd}),
    },
)


@given(_card, st.text(max_size=60))
def test_any_card_and_any_text_can_be_planned_with(card: dict[str, Any], text: str) -> None:
    try:
        specialist = specialist_of(card_in(card, "u"), "u")
    except AgentError:
        return  # It is told as an agent that cannot be asked.
    if not plan(request(text), [specialist]):
        assert abilities(request(text), [specialist])


def test_specialists_that_share_a_name_get_unique_names_and_only_our_own_keeps_it() -> None:
    settings = Settings(agent_urls="http://127.0.0.1:1/", orchestrator_url="http://127.0.0.1:9/")
    cards = [
        ("http://127.0.0.1:1/", "log_analyst"),
        ("http://10.0.0.7:8000/rpc/", "Log_Analyst"),
        ("https://a.example/", "twin"),
        ("https://b.example/", "twin"),
        ("https://c.example/", "single"),
        ("https://d.example/", "orchestrator"),
    ]
    given = [specialist_of(card_in({"name": name}, url), url) for url, name in cards]
    there = with_unique_names(given, "orchestrator", settings)
    assert [each["agent"] for each in there] == [
        "Log_Analyst at 10.0.0.7:8000/rpc",
        "log_analyst",
        "orchestrator (another)",
        "single",
        "twin at a.example",
        "twin at b.example",
    ]
