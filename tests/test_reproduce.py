"""The arithmetic of the reproduction: what adaptive sampling would have asked for, intervals, tokens to reach a score."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT

from ded_ray.records import Group, Problem, Rollout
from jobs.reproduce.experiments import adaptive, first, steps_of
from jobs.reproduce.tables import interval, reach
from jobs.reproduce.world import QUICK, Size, World, same_world


def group(statuses):
    rollouts = [
        Rollout(index=i, completion=str(i), num_tokens=10, finish_reason="stop", seed=i,
                status="correct" if letter == "c" else "wrong")
        for i, letter in enumerate(statuses)
    ]  # fmt: skip
    return Group.of(Problem(problem_id="p", prompt="q", answer="a"), "g", "m", rollouts)


@pytest.mark.parametrize(
    ("statuses", "asked"), [("cccccccc", 2), ("wwcccccc", 2), ("cwcccccc", 8), ("ccwwcccc", 2), ("c", 1)]
)
def test_a_group_is_asked_until_it_is_settled(statuses, asked):
    [found] = adaptive([group(statuses)])
    assert len(found.rollouts) == asked
    assert [len(g.rollouts) for g in first([group(statuses)], 3)] == [min(3, len(statuses))]


def test_tokens_at_which_a_score_is_first_reached():
    curve = [(100, 0.2), (200, 0.4), (400, 0.4), (800, 0.6)]
    assert reach(curve, 0.1) == 100
    assert reach(curve, 0.3) == pytest.approx(150)
    assert reach(curve, 0.5) == pytest.approx(600)
    assert reach(curve, 0.7) is None


def test_ours_trains_as_long_as_the_naive_pipeline(tmp_path):
    world = World(tmp_path, 0, QUICK)
    assert steps_of("ours-48", world) == steps_of("naive-48", world) == QUICK.epochs * 48 * 8 // 16
    assert steps_of("smoke-terse", world) == steps_of("smoke-careful", world)
    assert steps_of("right-hard", world) is None


def test_an_interval_counts_seeds_and_problems():
    rng = np.random.default_rng(0)
    agreeing = [rng.normal(0.1, 0.1, 200) for _ in range(3)]
    _, low, high = interval(agreeing)
    assert low < 0.1 < high
    assert high - low < 0.05
    disagreeing = [rng.normal(shift, 0.1, 200) for shift in (-0.3, 0.1, 0.5)]
    assert interval(disagreeing)[2] - interval(disagreeing)[1] > 0.3


def test_worlds_are_apart_and_nothing_held_out_is_asked(tmp_path):
    one, other = World(tmp_path, 0, QUICK), World(tmp_path, 1, QUICK)
    asked = {problem.prompt for problem in one.questions}
    assert len(asked) == QUICK.questions
    assert not asked & {problem.prompt for problem in one.held_out()["chain"]}
    assert asked != {problem.prompt for problem in other.questions}
    same_world(tmp_path, QUICK)
    same_world(tmp_path, QUICK)
    with pytest.raises(ValueError, match="another size"):
        same_world(tmp_path, Size(1, 1, 1, 1, 1, 1))


@pytest.mark.slow
def test_the_quick_form(tmp_path):
    command = [sys.executable, "-m", "jobs.reproduce", "--quick", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, cwd=PROJECT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "median_token_ratio" in json.loads(done.stdout.splitlines()[-1])
    table = (tmp_path / "out" / "table.md").read_text()
    assert "+Right-Hard-Diverse" in table
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000
