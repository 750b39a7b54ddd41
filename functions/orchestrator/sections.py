"""The answer when specialists answer in text: one's is the answer itself, and each of several has a section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.answer import SpecialistAnswer
from orchestrator.report import not_covered, notes_of, quoted_text


def only_text(answers: Sequence[SpecialistAnswer]) -> bool:
    """Return whether there is nothing but texts: one that is complete, or none at all."""
    return not answers or (len(answers) == 1 and answers[0].outcome == "text")


def sections(answers: Sequence[SpecialistAnswer], *, streamed: bool) -> Iterator[str]:
    """Yield the answer in Markdown, section by section. `streamed` says that the only text is there already."""
    rest = not_covered(answers) + notes_of(answers, [])
    if len(answers) == 1 and answers[0].text:
        yield "" if streamed else answers[0].text
        yield "\n\n" if rest else ""
    else:
        yield from (quoted_text(answer) for answer in answers if answer.text)
    yield rest
