"""Question compression (DED, Method): what the student already answers teaches it nothing.

DED drops a question whose student pass rate is above "a certain threshold" and states neither the threshold nor how
the rate is sampled; both are knobs of the recipe, their defaults our choice.
"""

from statistics import fmean

from ded_ray.recipe import Compress
from ded_ray.records import Group, Problem


def student_pass_rate(group: Group) -> float | None:
    """Correct over checked rollouts, in [0, 1]; None when not one of them could be checked."""
    checked = group.checked
    return sum(r.status == "correct" for r in checked) / len(checked) if checked else None


def compress(group: Group, knobs: Compress) -> Problem:
    """The question of a group that the student answered, with pass rate and mean length, and the reason if it is dropped.

    An unknown pass rate keeps the question: not knowing is no reason to drop.
    """
    problem = Problem.from_row(group.to_row())
    problem.student_pass_rate = student_pass_rate(group)
    if group.rollouts:
        problem.student_mean_tokens = fmean(rollout.num_tokens for rollout in group.rollouts)
    if problem.student_pass_rate is None:
        return problem
    if problem.student_pass_rate > knobs.max_student_pass_rate:
        problem.dropped_because = "student_pass_rate"
    elif problem.student_pass_rate < knobs.min_student_pass_rate:
        problem.dropped_because = "student_pass_rate_too_low"
    return problem
