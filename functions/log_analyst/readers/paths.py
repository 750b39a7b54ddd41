"""Limits the routes of an access log: in a folder with very many children, the rare ones become `<*>`."""

from __future__ import annotations

from collections import Counter, defaultdict

FANOUT = 30
KEPT = 10
_DEPTH = 10


def collapsed(routes: dict[str, int]) -> dict[str, str]:
    """Return, for each route (a path and its number of requests), the route that stands for it."""
    result: dict[str, str] = {}
    _collapse([(route, route.split("/", _DEPTH), count) for route, count in routes.items()], [], result)
    return result


def _collapse(routes: list[tuple[str, list[str], int]], parent: list[str], result: dict[str, str]) -> None:
    depth = len(parent)
    counts: Counter[str] = Counter()
    for route, segments, count in routes:
        if len(segments) == depth:
            result[route] = "/".join(parent)
        else:
            counts[segments[depth]] += count
    if not counts:
        return
    kept = {segment for segment, _ in counts.most_common(KEPT if len(counts) > FANOUT else None)}
    children: dict[str, list[tuple[str, list[str], int]]] = defaultdict(list)
    for item in routes:
        if len(item[1]) > depth:
            segment = item[1][depth]
            children[segment if segment in kept else "<*>"].append(item)
    for segment, items in children.items():
        _collapse(items, [*parent, segment], result)
