"""From verified groups to a score with its interval."""

from collections.abc import Iterable, Sequence

from ded_ray.evaluate.intervals import Bootstrap, Interval
from ded_ray.records import Group


def pass_rates(groups: Iterable[Group]) -> dict[str, float]:
    """Correct samples over samples, by problem id.

    A sample that could not be checked is left out, and so is a problem without any other. A sample that never came
    (finish_reason other: the model, or its endpoint, refused the prompt) counts as not correct, so that a refused prompt
    stays in the denominator.
    """
    rates = {}
    for group in groups:
        num_samples = len(group.checked) + sum(never_came(group))
        if num_samples:
            rates[group.problem_id] = sum(r.status == "correct" for r in group.rollouts) / num_samples
    return rates


def never_came(group: Group) -> list[bool]:
    """For each rollout whether the model was asked for it and gave none."""
    return [rollout.finish_reason == "other" and rollout.status == "unverifiable" for rollout in group.rollouts]


def paired_change(groups: Sequence[Group], base: Sequence[Group], bootstrap: Bootstrap) -> Interval | None:
    """95 % interval of the mean difference in pass rate over the problems that both have a rate for, resampled in pairs;
    None if there is no such problem."""
    before, after = pass_rates(base), pass_rates(groups)
    changes = [after[problem] - before[problem] for problem in after if problem in before]
    return bootstrap.interval(changes) if changes else None


def score(groups: Sequence[Group], bootstrap: Bootstrap) -> dict[str, float | int | None]:
    """What scores.json says of one model on one benchmark. pass@1 is the mean over problems of their pass rates.

    Cut-off samples count as not correct. If not one sample could be checked, pass@1 and its interval are None.
    """
    rates = list(pass_rates(groups).values())
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    low, high = bootstrap.interval(rates) if rates else (None, None)
    return {
        "pass_at_1": round(sum(rates) / len(rates), 4) if rates else None,
        "ci95_low": low,
        "ci95_high": high,
        "cut_off_rate": round(sum(r.finish_reason == "length" for r in rollouts) / len(rollouts), 4),
        "num_problems": len(rates),
        "num_samples": len(rollouts),
        "num_unchecked": len(rollouts) - sum(len(group.checked) for group in groups),
        "mean_tokens": round(sum(r.num_tokens for r in rollouts) / len(rollouts), 1),
    }
