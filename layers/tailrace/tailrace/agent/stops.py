"""Questions and hand-offs inside a group of errors.

`asyncio.TaskGroup` puts what its tasks raise into an `ExceptionGroup`. LangGraph would take it for a failure, also if
the tasks have only asked the user, or left because the attempt must end.
"""

from __future__ import annotations

from typing import Any

from langgraph.errors import GraphBubbleUp, GraphDrained, GraphInterrupt


def stop_in(error: BaseException) -> BaseException:
    """The error; of a group of questions and hand-offs the one exception for LangGraph, questions first."""
    if not isinstance(error, BaseExceptionGroup) or error.split((GraphInterrupt, GraphDrained))[1] is not None:
        return error
    stops = _leaves(error)
    questions = [question for each in stops if isinstance(each, GraphInterrupt) for question in each.args[0]]
    return GraphInterrupt(questions) if questions else stops[0]


def _leaves(group: BaseExceptionGroup[Any]) -> list[GraphBubbleUp]:
    nested = [_leaves(each) if isinstance(each, BaseExceptionGroup) else [each] for each in group.exceptions]
    return [each for some in nested for each in some]
