"""Why a task failed, in words: what an author's code has raised, without its stack trace."""

from __future__ import annotations

from tailrace.agent.containment import ProcessExit
from tailrace.errors import shorten

# Maximum length of a foreign error message, and how many errors of a group are named.
_MAX_ERROR = 1_000
_MAX_NAMED = 5
# LangGraph (1.2.24) waits for a checkpoint that a graph with `checkpointer=False` never saves.
_NO_CHECKPOINTS = "'_put_checkpoint_fut'"


def words_of(error: BaseException) -> str:
    """The error's type and text; for a group of errors, those of the first ones in it. This never raises."""
    return shorten(_words(error), _MAX_ERROR)


def _words(error: BaseException) -> str:
    text = text_of(error)
    if isinstance(error, ProcessExit):
        return text
    if isinstance(error, AttributeError) and _NO_CHECKPOINTS in text:
        return (
            "a subgraph was compiled with checkpointer=False. A run goes on from its checkpoints, also in a subgraph: "
            "compile it without this argument"
        )
    name = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        more = len(error.exceptions) - _MAX_NAMED
        named = [_words(each) for each in error.exceptions[:_MAX_NAMED]]
        return f"{name}: {error.message} ({'; '.join(named)}{f'; and {more} more' if more > 0 else ''})"
    return f"{name}: {text}" if text else name


def text_of(error: BaseException) -> str:
    """The error's text. This never raises."""
    try:
        return str(error)
    except Exception as problem:
        return f"(its text cannot be read: {type(problem).__name__})"
