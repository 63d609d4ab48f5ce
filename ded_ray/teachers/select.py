"""The rule by which one candidate is chosen, and where the proxy and the training disagree."""

from collections.abc import Sequence
from math import inf
from statistics import fmean
from typing import Any

from ded_ray.evaluate.intervals import Bootstrap, Interval

Row = dict[str, Any]
"""What is known of one candidate: a row of teachers.json."""

Rates = dict[str, dict[str, float]]
"""A student's pass rates, by benchmark and problem id; {} for one that was not trained."""


def choose(rows: Sequence[Row], proxy: str | None) -> int:
    """The candidate with the best student (highest mean in-domain pass@1), or with a proxy the one with the lowest RSR.

    Equal ones: the fewest tokens per verified answer, then the first. One without a number comes last.
    """

    def standing(i: int) -> tuple[float, float, int]:
        best = rows[i].get("rsr") if proxy else _negative(rows[i].get("student_score"))
        cost = rows[i].get("tokens_per_verified")
        return (inf if best is None else best, inf if cost is None else cost, i)

    return min(range(len(rows)), key=standing)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def compare(students: Sequence[Rates], bootstrap: Bootstrap) -> list[list[Interval | None]]:
    """95 % intervals of (score of student i) - (score of student j), by i and j; None for itself, and if one of them was
    not measured. An interval that holds 0 does not tell the two apart.

    The score is the mean over benchmarks of the mean pass rate, as in `choose`: within each benchmark the problems that
    both were checked on are resampled in pairs.
    """
    every = range(len(students))
    return [[None if i == j else _difference(students[i], students[j], bootstrap) for j in every] for i in every]


def _difference(one: Rates, other: Rates, bootstrap: Bootstrap) -> Interval | None:
    by_benchmark = []
    for benchmark in sorted(one.keys() & other.keys()):
        mine, theirs = one[benchmark], other[benchmark]
        by_benchmark.append([mine[problem] - theirs[problem] for problem in sorted(mine.keys() & theirs.keys())])
    by_benchmark = [differences for differences in by_benchmark if differences]
    return bootstrap.interval(*by_benchmark) if by_benchmark else None


def mean_score(rates: Rates) -> float | None:
    """Mean over benchmarks of the mean pass rate; None if nothing could be checked."""
    means = [fmean(of.values()) for of in rates.values() if of]
    return fmean(means) if means else None


def disagreement(rows: Sequence[Row]) -> str | None:
    """One sentence on whether RSR would have chosen as the training did; None if only one of them is known."""
    if any(row.get("rsr") is None or row.get("student_score") is None for row in rows):
        return None
    trained, by_proxy = choose(rows, None), choose(rows, "rsr")
    if trained == by_proxy:
        return f"RSR agrees with the training: both choose {rows[trained]['model']}."
    lost = rows[trained]["student_score"] - rows[by_proxy]["student_score"]
    return (
        f"RSR disagrees with the training: it would have chosen {rows[by_proxy]['model']}, whose student scores "
        f"{lost:.3f} less than that of {rows[trained]['model']}."
    )
