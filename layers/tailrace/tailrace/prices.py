"""What the tokens of models cost, as `TAILRACE_MODEL_PRICES` says."""

from __future__ import annotations

import msgspec

from tailrace.errors import ConfigError


class Price(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a model's tokens cost, in dollars per million."""

    input: float
    output: float

    def __post_init__(self) -> None:
        for name, dollars in (("input", self.input), ("output", self.output)):
            if not 0 <= dollars < float("inf"):
                raise ValueError(f"Expected `{name}` in dollars per million tokens, at least 0, got {dollars}")


_read_prices = msgspec.json.Decoder(dict[str, Price]).decode


def prices_in(text: str) -> dict[str, Price]:
    """The prices in the setting, by model; none if it is empty.

    Raises:
        ConfigError: they are no prices.
    """
    if not text:
        return {}
    try:
        return _read_prices(text)
    except msgspec.DecodeError as error:  # A `ValidationError` is one.
        right = '{"MODEL": {"input": DOLLARS, "output": DOLLARS}}, in dollars per million tokens'
        raise ConfigError("TAILRACE_MODEL_PRICES", text, f"{right} ({error})") from None
