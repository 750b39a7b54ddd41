"""Whether logs were understood: a log that was not may hold anything, so nobody may say that it is quiet."""

from __future__ import annotations

from collections.abc import Sequence

from log_analyst.readers import levels
from log_analyst.readers.mining import Template

_FEWEST = 30  # entries; fewer look alike by chance
_MOST_ALIKE = 0.9  # share of the entries in one template
_FEWEST_WORDS = 0.4  # share of a template's parts that are words


def misread(templates: Sequence[Template], entries: int) -> tuple[str, str]:
    """Return why logs with these templates were hardly understood, and what most of their lines look like.

    Both are "" if they were understood: their lines have a time, and differ in words or name a level.
    """
    if entries < _FEWEST or not templates:
        return "", ""
    if not any(template.times for template in templates):
        return "no line has a time that can be read", templates[0].text
    top = max(templates, key=lambda template: template.count)
    if top.access or top.count < _MOST_ALIKE * entries:
        return "", ""
    alike = f"{top.count:,} of {entries:,} entries look alike"
    if all(t.level == levels.INFO and levels.named_in(t.text) == levels.UNKNOWN for t in templates):
        return f"no line names a level or an error, and {alike}", top.text
    parts = top.text.split()
    if sum("<" not in part and any(map(str.isalpha, part)) for part in parts) < _FEWEST_WORDS * len(parts):
        return f"most of their content was taken for numbers and ids, and {alike}", top.text
    return "", ""
