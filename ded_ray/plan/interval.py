"""Numbers of which only a low, a middle and a high value are known; none is below 0."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

NORMAL_95 = 1.96
"""Standard errors to each side of a mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Interval:
    """Products and sums take low with low and high with high: as if all guesses were wrong in the same direction."""

    low: float
    mid: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> "Interval":
        return cls(value, value, value)

    @classmethod
    def of_mean(cls, values: Sequence[float]) -> "Interval":
        """The 95 % interval of the mean of what these, two at least, are a sample of."""
        mean, error = fmean(values), stdev(values) / math.sqrt(len(values))
        return cls(max(0.0, mean - NORMAL_95 * error), mean, mean + NORMAL_95 * error)

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def __mul__(self, other: "Interval | float") -> "Interval":
        by = other if isinstance(other, Interval) else Interval.exactly(other)
        return Interval(self.low * by.low, self.mid * by.mid, self.high * by.high)

    def at_rate(self, rate: "Interval") -> "Interval":
        """How long so much takes at so much a unit of time: least at the highest rate."""
        return Interval(self.low / rate.high, self.mid / rate.mid, self.high / rate.low)

    def at_most(self, limit: float) -> "Interval":
        return Interval(min(self.low, limit), min(self.mid, limit), min(self.high, limit))

    def __str__(self) -> str:
        """`3.1k`, or `3.1k (1.2k - 6k)` where it is not known exactly."""
        if self.low == self.high:
            return short(self.mid)
        return f"{short(self.mid)} ({short(self.low)} - {short(self.high)})"


NOTHING = Interval.exactly(0)
UNKNOWN = "unknown"
"""What is shown where there is no interval."""


def short(value: float) -> str:
    """Three digits at most, and k, M, G or T for thousands."""
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"
