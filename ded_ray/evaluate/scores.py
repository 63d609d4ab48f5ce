"""From verified groups to a score with its interval."""

from collections.abc import Iterable, Sequence

import numpy as np

from ded_ray.records import Group


def pass_rates(groups: Iterable[Group]) -> dict[str, float]:
    """Correct over checked samples, by problem id; a problem without a single checked sample has none."""
    return {g.problem_id: sum(r.status == "correct" for r in g.checked) / len(g.checked) for g in groups if g.checked}


def bootstrap_interval(rates: Sequence[float], resamples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean, problems resampled with replacement.

    Samples of one problem are not independent, so problems are what is resampled (a clustered bootstrap); the seed
    makes it repeatable. A single problem gives an interval of zero width: it says nothing about others.
    """
    rng = np.random.default_rng(seed)
    values = np.asarray(rates)
    means_R = np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(resamples)])
    low, high = np.percentile(means_R, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def paired_change(groups: Sequence[Group], base: Sequence[Group], resamples: int, seed: int) -> tuple[float, float] | None:
    """95 % interval of the mean difference in pass rate over the problems that both were checked on, resampled in pairs;
    None where there is none."""
    before, after = pass_rates(base), pass_rates(groups)
    changes = [after[problem] - before[problem] for problem in after if problem in before]
    return bootstrap_interval(changes, resamples, seed) if changes else None


def score(model: str, benchmark: str, domain: str, groups: Sequence[Group], resamples: int, seed: int) -> dict[str, object]:
    """One row of scores.json. pass@1 is the mean over problems of correct / checked samples.

    Cut-off samples count as not correct. Where not one sample could be checked, pass@1 and its interval are None.
    """
    rates = list(pass_rates(groups).values())
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    low, high = bootstrap_interval(rates, resamples, seed) if rates else (None, None)
    return {
        "model": model,
        "benchmark": benchmark,
        "domain": domain,
        "pass_at_1": round(sum(rates) / len(rates), 4) if rates else None,
        "ci95_low": low,
        "ci95_high": high,
        "cut_off_rate": round(sum(r.finish_reason == "length" for r in rollouts) / len(rollouts), 4),
        "num_problems": len(rates),
        "num_samples": len(rollouts),
        "num_unchecked": len(rollouts) - sum(len(g.checked) for g in groups),
        "mean_tokens": round(sum(r.num_tokens for r in rollouts) / len(rollouts), 1),
    }
