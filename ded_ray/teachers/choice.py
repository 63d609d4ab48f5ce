"""The rule by which one candidate is chosen, and where the proxy and the training disagree."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]
"""What is known of one candidate: a row of teachers.json."""


def choose(rows: Sequence[Row], proxy: str | None) -> int:
    """The candidate with the best student (highest mean in-domain pass@1), or with a proxy the one with the lowest RSR.

    Equal ones: the fewest tokens per verified answer, then the first. One without a number comes last.
    """

    def standing(i: int) -> tuple[float, float, int]:
        best = rows[i].get("rsr") if proxy else _negative(rows[i].get("student_score"))
        cost = rows[i].get("tokens_per_verified")
        return (np.inf if best is None else best, np.inf if cost is None else cost, i)

    return min(range(len(rows)), key=standing)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def compare(rates_IP: Sequence[Sequence[float]], winner: int, resamples: int, seed: int) -> list[tuple[float, float] | None]:
    """95 % interval of (student of candidate i) - (student of the winner), problems resampled in pairs; None for itself.

    `rates_IP`: pass rates of the I students on the same P problems. An interval that holds 0 does not tell them apart.
    """
    rng = np.random.default_rng(seed)
    rates = np.asarray(rates_IP, float)
    draws_RP = rng.integers(rates.shape[1], size=(resamples, rates.shape[1]))
    found: list[tuple[float, float] | None] = []
    for i in range(len(rates)):
        if i == winner:
            found.append(None)
            continue
        means_R = (rates[i] - rates[winner])[draws_RP].mean(1)
        low, high = np.percentile(means_R, [2.5, 97.5])
        found.append((round(float(low), 4), round(float(high), 4)))
    return found


def disagreement(rows: Sequence[Row]) -> str | None:
    """One sentence on whether RSR would have chosen as the training did; None where only one of them is known."""
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
