"""Question compression (DED, Method): what the student already answers teaches it nothing.

DED drops a question whose student pass rate is above "a certain threshold" and states neither the threshold nor how
the rate is sampled; both are knobs of the recipe, their defaults our choice.
"""

from statistics import fmean
from typing import Any

from ded_ray.recipe import Compress
from ded_ray.records import Group, Problem

Case = tuple[tuple[float | None, dict[str, Any]], str | None]
"""((student pass rate, knobs of Compress), why the question is dropped)"""

CASES: list[Case] = [
    ((1.0, {}), "student_pass_rate"),
    ((0.75, {}), None),
    ((0.0, {}), None),
    ((None, {}), None),  # not knowing is no reason to drop
    ((0.1, {"min_student_pass_rate": 0.03, "max_student_pass_rate": 0.1}), None),  # LIMO: 1 to 3 of 32
    ((0.0, {"min_student_pass_rate": 0.03, "max_student_pass_rate": 0.1}), "student_pass_rate_too_low"),
    ((0.125, {"min_student_pass_rate": 0.03, "max_student_pass_rate": 0.1}), "student_pass_rate"),
]


def compress(group: Group, config: Compress) -> Problem:
    """The question of a group that the student answered, with its pass rate, mean length and reason to be dropped."""
    problem = Problem.from_row(group.to_row())
    problem.student_pass_rate = group.pass_rate
    if group.rollouts:
        problem.student_mean_tokens = fmean(rollout.num_tokens for rollout in group.rollouts)
    problem.dropped_because = reason_to_drop(problem.student_pass_rate, config)
    return problem


def reason_to_drop(student_pass_rate: float | None, config: Compress) -> str | None:
    """None: the question is worth asking a teacher."""
    if student_pass_rate is None:
        return None
    if student_pass_rate > config.max_student_pass_rate:
        return "student_pass_rate"
    return "student_pass_rate_too_low" if student_pass_rate < config.min_student_pass_rate else None
