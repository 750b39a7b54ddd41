"""Words by their stems, so that a request and an agent's card can be compared whatever the case and the ending."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")
# In characters. What a text is about is in its beginning.
_LOOK = 20_000
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Endings of English words. A stem keeps at least three letters.
_ENDINGS = ("ment", "ing", "ion", "ed", "er", "or", "e")
# Words that do not tell what an agent can do.
_COMMON = frozenset(
    """
    about after again agent agents all also and any anything are ask asks asked assistant been before can could did do
    does done each else every everything file files find finds for from get gets give gives given go goes going had has
    have help helps here her his how if in into is it its just kind know knows let like make makes me message more most
    my need needs no not now of on one only or our out please put request requests run runs say says see send sends
    she should show shows so some something such take takes tell tells than that the their them then there these they
    thing things this those to too tool tools up us use user uses used using very want wants was way we were what when
    where which while who why will with work works would you your
    """.split()  # noqa: SIM905
)


def stems_of(text: str) -> dict[str, str]:
    """Return the significant words of a text in lower case, by their stems."""
    words = (word.casefold() for word in _WORD.findall(_CAMEL_CASE.sub(" ", text[:_LOOK])))
    return {stem_of(word): word for word in words if len(word) > 1 and word not in _COMMON}


def stem_of(word: str) -> str:
    """Return a word without its ending, so that `greets`, `greeting` and `greeter` are the same."""
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    elif word.endswith("sis"):
        word = word[:-2]  # analysis, analys(e)
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    if word.endswith("at") and len(word) > 5:  # translat(e), translat(ion)
        word = word[:-2]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word.removesuffix("i") + "y" if word.endswith("i") and len(word) > 3 else word
