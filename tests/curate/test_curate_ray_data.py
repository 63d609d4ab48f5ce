"""Curation as a plan: the student reads what others wrote where that is asked for."""

import random

import pytest
import ray

from ded_ray.curate.ray_data import curate
from ded_ray.models.surprisal import Reader
from ded_ray.recipe import Curate, Diversity, Student
from ded_ray.records import Group, Problem, Rollout, to_table
from ded_ray.tiny.problems import make_problems
from ded_ray.tiny.styles import STYLES


def group(problem: Problem) -> Group:
    styles = ["careful", "terse", "rambling"]
    rollouts = [
        Rollout(index=i, completion=STYLES[style](problem.prompt, 0.0, random.Random(i)), num_tokens=9, finish_reason="stop",
                seed=i, status="correct", reward=1.0)
        for i, style in enumerate(styles)
    ]  # fmt: skip
    return Group.of(problem, problem.problem_id, "m", rollouts)


@pytest.mark.slow
def test_the_lowest_rank_surprisal_ratio_is_picked(ray_cluster):
    made = [group(problem) for problem in make_problems("chain", 20, (3, 6), 0)]
    config = Curate(diversity=Diversity(num_kept=1, pick="lowest_rsr"))
    rows = curate(ray.data.from_arrow(to_table(made, Group)), config, Student(model="tiny/student"), 0).take_all()
    found = {row["problem_id"]: Group.from_row(row) for row in rows}
    assert len(found) == 20
    surprises = iter(Reader("tiny/student").surprises([(g.prompt, r.completion) for g in made for r in g.rollouts]))
    for each in made:
        curated = found[each.problem_id].rollouts
        for rollout in curated:
            own = next(surprises)
            assert rollout.rsr == pytest.approx(own.rsr, rel=1e-3)
            assert rollout.surprisal == pytest.approx(own.mean_surprisal, abs=1e-4)
        [kept] = [rollout for rollout in curated if rollout.dropped_because is None]
        assert kept.rsr == min(rollout.rsr for rollout in curated)
    plain = curate(ray.data.from_arrow(to_table(made[:2], Group)), Curate(), Student(model="tiny/student"), 0).take_all()
    assert all(rollout["rsr"] is None for row in plain for rollout in row["rollouts"]), "a forward pass is not made unasked"
