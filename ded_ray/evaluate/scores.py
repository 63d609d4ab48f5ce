"""From verified groups to a score with its interval, and to a comparison of two models.

counts = counts_of(groups)                    # (correct, checked) samples by problem
score(groups, Bootstrap(10_000, seed=0))      # one object of scores.json
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ded_ray.evaluate.intervals import SMALL_SET, Bootstrap, beta_binomial, sign_flips
from ded_ray.records import Group, Rollout

Counts = dict[str, tuple[int, int]]
"""By problem id: (correct samples, samples)."""


def counts_of(groups: Iterable[Group]) -> Counts:
    """A sample that could not be checked is left out, and so is a problem without any other. A sample that never came
    (finish_reason other: the model, or its endpoint, refused the prompt) counts as not correct, so that a refused prompt
    stays in the denominator."""
    counts = {}
    for group in groups:
        num_samples = len(group.checked) + sum(map(never_came, group.rollouts))
        if num_samples:
            counts[group.problem_id] = (sum(r.status == "correct" for r in group.rollouts), num_samples)
    return counts


def never_came(rollout: Rollout) -> bool:
    """Whether the model was asked for it and gave none."""
    return rollout.finish_reason == "other" and rollout.status == "unverifiable"


def pass_rates(groups: Iterable[Group]) -> dict[str, float]:
    """Correct samples over samples, by problem id."""
    return {problem: correct / samples for problem, (correct, samples) in counts_of(groups).items()}


def pass_at_k(counts: Counts, k: int) -> float | None:
    """The chance that at least one of k samples is correct, mean over problems: 1 - C(n - c, k) / C(n, k), unbiased (Chen et
    al., 2107.03374). None where a problem has fewer than k samples: there it is not defined."""
    if not counts or any(samples < k for _, samples in counts.values()):
        return None
    chances = [1 - math.comb(n - c, k) / math.comb(n, k) for c, n in counts.values()]
    return sum(chances) / len(chances)


def majority(group: Group) -> float | None:
    """Whether the answer that most samples give is right: 1 or 0, or between them where answers are tied. Correct samples
    give one answer, however it is written; a sample without an answer gives no vote. None if no sample could be checked.
    """
    if not group.checked:
        return None
    votes = Counter("" if r.status == "correct" else f"wrong: {r.extracted}" for r in group.checked if _votes(r))
    most = max(votes.values(), default=0)
    return (votes[""] == most) / sum(count == most for count in votes.values()) if most else 0.0


def _votes(rollout: Rollout) -> bool:
    return rollout.status == "correct" or (rollout.status == "wrong" and rollout.extracted is not None)


def score(groups: Sequence[Group], bootstrap: Bootstrap) -> dict[str, Any]:
    """What scores.json says of one model on one benchmark.

    pass_at_1 is the mean over problems of their pass rates, which is also called avg@n. Cut-off samples count as not
    correct. If not one sample could be checked, there is no score, and what depends on it is None.
    """
    counts = counts_of(groups)
    rates = [correct / samples for correct, samples in counts.values()]
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    num_unchecked = len(rollouts) - sum(len(group.checked) for group in groups)
    low, high = bootstrap.interval(rates) if rates else (None, None)
    majorities = [vote for group in groups if (vote := majority(group)) is not None]
    most = max((samples for _, samples in counts.values()), default=0)
    exact = beta_binomial(*zip(*counts.values(), strict=True)) if 0 < len(counts) < SMALL_SET else None
    return {
        "pass_at_1": _mean(rates),
        "ci95_low": low,
        "ci95_high": high,
        "beta_binomial_ci95": exact,
        "pass_at_k": {str(k): _rounded(pass_at_k(counts, k)) for k in _powers_of_two(most)},
        "maj_at_n": _mean(majorities),
        "cut_off_rate": _mean([r.finish_reason == "length" for r in rollouts]),
        "no_answer_rate": _mean([r.status == "no_answer" for r in rollouts]),
        "unchecked_rate": round(num_unchecked / len(rollouts), 4),
        "num_problems": len(rates),
        "num_samples": len(rollouts),
        "num_unchecked": num_unchecked,
        "mean_tokens": round(sum(r.num_tokens for r in rollouts) / len(rollouts), 1),
    }


def compare(groups: Sequence[Group], others: Sequence[Group], bootstrap: Bootstrap) -> dict[str, Any] | None:
    """How far a model is from another one, problem by problem over those that both have a rate for: the mean difference,
    its interval by resampling the pairs, for small sets also by sign flips, and in a word whether that tells them apart.

    None if there is no such problem.
    """
    before, after = pass_rates(others), pass_rates(groups)
    changes = [after[problem] - before[problem] for problem in after if problem in before]
    if not changes:
        return None
    low, high = bootstrap.interval(changes)
    exact = sign_flips(changes, bootstrap.seed) if len(changes) < SMALL_SET else None
    lowest, highest = (min(low, exact[0]), max(high, exact[1])) if exact else (low, high)
    return {
        "difference": _mean(changes),
        "ci95": (low, high),
        "sign_flip_ci95": exact,
        "num_problems": len(changes),
        "word": "better" if lowest > 0 else "worse" if highest < 0 else "tied",
    }


def _powers_of_two(most: int) -> list[int]:
    return [2**i for i in range(most.bit_length()) if 2**i <= most]


def _mean(numbers: Sequence[float]) -> float | None:
    return round(sum(numbers) / len(numbers), 4) if numbers else None


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
