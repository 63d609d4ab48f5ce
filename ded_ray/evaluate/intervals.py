"""95 % intervals of means over problems.

    Bootstrap(resamples=10_000, seed=0).interval([1.0, 0.5, 0.75])   # (0.5, 1.0)

A score and its interval are made in the same way: a mean over benchmarks of means over problems. For small sets the
bootstrap is too sure of itself (Bowyer et al., 2503.01747), so they get a second interval: `beta_binomial` for a score,
`sign_flips` for a paired difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Interval = tuple[float, float]

SMALL_SET = 100
"""Problems below which a benchmark gets the second interval. AIME has 30, AMC 40. The number is our choice."""


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
            means_by_benchmark.append(
                np.concatenate([values_P[rng.integers(size, size=(n, size))].mean(1) for n in self._portions(size)])
            )
        return _rounded(*np.percentile(np.mean(means_by_benchmark, axis=0), [2.5, 97.5]))

    def _portions(self, size: int) -> list[int]:
        """Resamples drawn at once: a few million numbers at most."""
        most = max(1, 2_000_000 // size)
        whole, rest = divmod(self.resamples, most)
        return [most] * whole + [rest] * (rest > 0)


def beta_binomial(correct: Sequence[int], samples: Sequence[int]) -> Interval:
    """95 % credible interval of the mean pass rate over problems like these, from counts per problem.

    A problem's rate is drawn from a Beta distribution, its count from a binomial. The mean has a uniform prior, the
    concentration a log-uniform one from 0.05 to 100 (our choice); the posterior is summed on a grid.
    """
    from scipy.special import betaln

    means_M = (np.arange(400) + 0.5) / 400
    concentrations_C = np.geomspace(0.05, 100, 60)
    a_MC = means_M[:, None] * concentrations_C
    b_MC = (1 - means_M)[:, None] * concentrations_C
    log_MC = np.zeros_like(a_MC)
    for right, count in zip(correct, samples, strict=True):  # the binomial coefficient is the same everywhere
        log_MC += betaln(a_MC + right, b_MC + count - right) - betaln(a_MC, b_MC)
    density_M = np.exp(log_MC - log_MC.max()).sum(1)
    cumulative_M = np.cumsum(density_M) / density_M.sum()
    low, high = (means_M[min(int(np.searchsorted(cumulative_M, q)), len(means_M) - 1)] for q in (0.025, 0.975))
    return _rounded(low, high)


def sign_flips(differences: Sequence[float], seed: int, flips: int = 4_000) -> Interval:
    """95 % interval of a paired difference by the sign-flip test: every shift that the test does not refuse at 5 %.

    Exact, up to the number of random flips, for differences that are symmetric about their mean.
    """
    values_P = np.asarray(differences, float)
    signs_FP = np.random.default_rng(seed).choice([-1.0, 1.0], size=(flips, len(values_P)))

    def is_refused(shift: float) -> bool:
        shifted_P = values_P - shift
        as_far = np.abs(signs_FP @ shifted_P) >= abs(shifted_P.sum()) - 1e-12
        return bool((as_far.sum() + 1) / (flips + 1) < 0.05)

    mean, reach = float(values_P.mean()), float(np.ptp(values_P)) + 1e-9
    return _rounded(*(_edge(is_refused, mean, mean + way * reach) for way in (-1, 1)))


def _edge(is_refused: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where between the two the test begins to refuse."""
    if not is_refused(outside):
        return outside
    for _ in range(30):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if is_refused(middle) else (middle, outside)
    return inside


def _rounded(low: float, high: float) -> Interval:
    return round(float(low), 4), round(float(high), 4)
