"""Limits the routes of an access log: in a folder with very many children, the rare ones become `<*>`."""

from __future__ import annotations

from collections import Counter, defaultdict

FANOUT = 30
KEPT = 10
_DEPTH = 10


def collapsed(routes: dict[str, int]) -> dict[str, str]:
    """Return, for each route (a path and its number of requests), the route that stands for it."""
    split = {route: route.split("/", _DEPTH) for route in routes}
    for depth in range(_DEPTH + 1):
        deep = {route: segments for route, segments in split.items() if len(segments) > depth}
        children: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for route, segments in deep.items():
            children[tuple(segments[:depth])][segments[depth]] += routes[route]
        kept = {parent: dict(of.most_common(KEPT if len(of) > FANOUT else None)) for parent, of in children.items()}
        for segments in deep.values():
            if segments[depth] not in kept[tuple(segments[:depth])]:
                segments[depth] = "<*>"
    return {route: "/".join(segments) for route, segments in split.items()}
