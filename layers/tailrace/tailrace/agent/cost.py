"""What a run costs: the time of its processes, DynamoDB's units, and the tokens of its models."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tailrace.events import Cost, Usage
from tailrace.prices import Price
from tailrace.stores.units import Units


def cost_of(before: Cost, units: Units, models: Mapping[str, Usage], prices: Mapping[str, Price]) -> Cost:
    """What a run has taken: `before` this attempt, and since then as `units` says. `models` has all of its tokens."""
    return Cost(
        seconds=round(before.seconds + time.monotonic() - units.began, 3),
        requests=(before.requests or 0) + units.requests or None,
        read_units=(before.read_units or 0) + units.read or None,
        write_units=(before.write_units or 0) + units.written or None,
        model_dollars=_dollars(models, prices),
    )


def _dollars(models: Mapping[str, Usage], prices: Mapping[str, Price]) -> float | None:
    """What these tokens cost; None if there are none, or a model has no price."""
    if not models or models.keys() - prices.keys():
        return None
    return sum(
        (prices[model].input * usage.input + prices[model].output * usage.output) / 1e6
        for model, usage in models.items()
    )
