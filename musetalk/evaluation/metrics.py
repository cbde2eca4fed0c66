"""What a metric is: name, unit, direction and definition in words, and how its value follows from the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from musetalk.evaluation.evidence import Evidence
from musetalk.evaluation.values import NotMeasurable, Value

HIGHER, LOWER, ZERO, ONE, FACT = "higher", "lower", "nearer 0", "nearer 1", ""
"""Which values are better; FACT: none is."""


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        name: Key in JSON and CSV.
        title: For people.
        unit: Of the value.
        better: HIGHER, LOWER, ZERO, ONE or FACT.
        meaning: Definition in words.
        compute: The value; raises NotMeasurable with the reason where there is none.
        digits: Decimals in tables.
        group: Heading it stands under.
    """

    name: str
    title: str
    unit: str
    better: str
    meaning: str
    compute: Callable[[Evidence], float]
    digits: int = 3
    group: str = ""

    def measure(self, evidence: Evidence) -> Value:
        """The value, or why there is none."""
        try:
            value = float(self.compute(evidence))
        except NotMeasurable as reason:
            return reason
        return value if np.isfinite(value) else NotMeasurable("no frame has it")

    def badness(self, value: float) -> float | None:
        """A number that is smaller the better the value is; None where no value is better."""
        ways = {HIGHER: -value, LOWER: value, ZERO: abs(value), ONE: abs(value - 1)}
        return ways.get(self.better)

    def text(self, value: float) -> str:
        """The value as tables show it."""
        shown = f"{value:.{self.digits}f}"
        return shown.lstrip("-") if float(shown) == 0 else shown
