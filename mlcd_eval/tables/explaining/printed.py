"""A number as a source prints it, and which values are nearest to it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from mlcd_eval.errors import ConfigError
from mlcd_eval.tables.published.number import PublishedNumber

P = TypeVar("P", bound=Hashable)

_ROUNDING = 1e-6  # of the last digit: above the error of a float, so that what lies half way counts as either


@dataclass(frozen=True)
class Printed:
    """value: a fraction; step: one unit of its last digit, 0.001 for 71.2 per cent."""

    value: float
    step: float

    def distance(self, value: float) -> int:
        """How many units of the last digit lie between, once a value is rounded as the number is. A value half way
        between two may be either."""
        number, units = round(self.value / self.step), value / self.step
        low, high = math.ceil(units - 0.5 - _ROUNDING), math.floor(units + 0.5 + _ROUNDING)
        return 0 if low <= number <= high else min(abs(low - number), abs(high - number))


def printed_number(number: PublishedNumber) -> Printed:
    """A published number that is not in points."""
    assert number.fraction is not None
    return Printed(number.fraction, 10.0**-number.decimals / (100 if number.unit == "percent" else 1))


def printed_text(text: str) -> Printed:
    """What --value means: a fraction (0.712), or per cent (71.2, or 71.2%), with the digits that the source prints.

    Raises ConfigError for anything else.
    """
    try:
        value = Decimal(text.removesuffix("%").strip())
    except InvalidOperation:
        value = Decimal("NaN")
    percent = text.endswith("%") or value > 1 if value.is_finite() else False
    if not value.is_finite() or not 0 <= value <= (100 if percent else 1):
        raise ConfigError(f"--value: got {text!r}, expected a fraction such as 0.712, or per cent such as 71.2")
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), "it is finite"
    scale = 100 if percent else 1
    return Printed(float(value) / scale, 10.0**exponent / scale)


def equally_near(values: Mapping[P, float], printed: Printed) -> list[P]:
    """The keys of the values that are nearest to a number, as far as its digits tell."""
    distances = {key: printed.distance(value) for key, value in values.items()}
    least = min(distances.values())
    return [key for key, distance in distances.items() if distance == least]
