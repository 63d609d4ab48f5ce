"""95 % bootstrap intervals of means over problems.

    Bootstrap(resamples=10_000, seed=0).interval([1.0, 0.5, 0.75])   # (0.5, 1.0)

A score and its interval are made in the same way: a mean over benchmarks of means over problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Interval = tuple[float, float]


@dataclass(frozen=True)
class Bootstrap:
    """Samples of one problem are not independent, so problems are resampled (a clustered bootstrap). The seed makes it
    repeatable."""

    resamples: int
    seed: int

    def interval(self, *benchmarks: Sequence[float]) -> Interval:
        """95 % percentile interval of the mean over benchmarks of the mean over problems.

        Each benchmark is a list of one number per problem (a pass rate, or a paired difference), not empty. A single
        problem gives an interval of zero width: it says nothing about others.
        """
        rng = np.random.default_rng(self.seed)
        means_by_benchmark = []
        for numbers in benchmarks:
            values_P = np.asarray(numbers)
            size = len(values_P)
            means_by_benchmark.append([values_P[rng.integers(size, size=size)].mean() for _ in range(self.resamples)])
        low, high = np.percentile(np.mean(means_by_benchmark, axis=0), [2.5, 97.5])
        return round(float(low), 4), round(float(high), 4)
