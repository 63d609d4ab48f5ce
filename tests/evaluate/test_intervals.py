"""Intervals cover what they say, and scores beyond pass@1 are what their definitions say."""

import itertools

import numpy as np
import pytest

from ded_ray.evaluate.intervals import Bootstrap, beta_binomial, sign_flips
from ded_ray.evaluate.scores import compare, majority, pass_at_k, score
from ded_ray.records import Group, Problem, Rollout


def group(name: str, *answers: tuple[str, str | None]) -> Group:
    rollouts = [
        Rollout(index=i, completion="", num_tokens=1, finish_reason="stop", seed=0, status=status, extracted=found)
        for i, (status, found) in enumerate(answers)
    ]
    return Group.of(Problem(problem_id=name, prompt="?", answer="1"), name, "m", rollouts)


def counted(correct: int, samples: int, name: str = "p") -> Group:
    return group(name, *[("correct", "1")] * correct, *[("wrong", "2")] * (samples - correct))


def test_pass_at_k_is_the_share_of_all_draws_with_a_correct_one():
    for samples, correct, k in [(5, 2, 1), (5, 2, 3), (4, 0, 2), (6, 6, 4), (7, 1, 7)]:
        draws = list(itertools.combinations(range(samples), k))
        share = sum(any(i < correct for i in draw) for draw in draws) / len(draws)
        assert pass_at_k({"p": (correct, samples)}, k) == pytest.approx(share)
    assert pass_at_k({"p": (1, 2), "q": (3, 4)}, 4) is None, "two samples have no pass@4"
    assert pass_at_k({}, 1) is None


def test_the_majority_counts_answers_not_samples():
    assert majority(group("p", ("correct", "1"), ("correct", "1.0"), ("wrong", "2"))) == 1
    assert majority(group("p", ("correct", "1"), ("wrong", "2"), ("wrong", "2"))) == 0
    assert majority(group("p", ("correct", "1"), ("wrong", "2"))) == 0.5, "tied"
    assert majority(group("p", ("correct", "1"), ("no_answer", None), ("truncated", None))) == 1, "no answer, no vote"
    assert majority(group("p", ("no_answer", None))) == 0
    assert majority(group("p", ("timed_out", None))) is None


def test_a_score_holds_what_stands_beside_it():
    row = score(
        [counted(2, 4, "a"), counted(4, 4, "b"), group("c", ("no_answer", None), ("timed_out", None))], Bootstrap(500, 0)
    )
    assert row["pass_at_1"] == 0.5
    assert list(row["pass_at_k"]) == ["1", "2", "4"]
    assert row["pass_at_k"]["1"] == row["pass_at_1"]
    assert row["pass_at_k"]["2"] is None, "c has one checked sample"
    assert (row["no_answer_rate"], row["unchecked_rate"], row["maj_at_n"]) == (0.1, 0.1, 0.5)
    assert row["beta_binomial_ci95"][0] < 0.5 < row["beta_binomial_ci95"][1]


def test_the_second_interval_of_small_sets_covers_where_the_bootstrap_does_not():
    """Of 120 draws of 12 problems with a true mean of 0.9: how often each interval holds it."""
    rng = np.random.default_rng(0)
    covered = {"bootstrap": 0, "beta-binomial": 0}
    for seed in range(120):
        correct = rng.binomial(4, rng.beta(3.6, 0.4, size=12))
        low, high = Bootstrap(400, seed).interval(correct / 4)
        covered["bootstrap"] += low <= 0.9 <= high
        low, high = beta_binomial(correct.tolist(), [4] * 12)
        covered["beta-binomial"] += low <= 0.9 <= high
    assert covered["beta-binomial"] >= 0.92 * 120 > covered["bootstrap"]
    assert beta_binomial([4] * 12, [4] * 12)[0] < 0.95, "twelve problems do not prove perfection"


def test_sign_flips_cover_and_are_repeatable():
    rng = np.random.default_rng(1)
    covered = sum(low <= 0.1 <= high for low, high in (sign_flips(0.1 + rng.normal(0, 0.3, 10), s, 800) for s in range(150)))
    assert covered >= 0.91 * 150
    assert sign_flips([0.1, 0.2, -0.1, 0.4], 3) == sign_flips([0.1, 0.2, -0.1, 0.4], 3)
    assert sign_flips([0.0] * 5, 0) == (0.0, 0.0)


def test_models_that_are_not_told_apart_are_tied():
    base = [counted(2, 4, str(i)) for i in range(8)]
    better = [counted(4, 4, str(i)) for i in range(8)]
    close = [counted(2 + (i % 2) - ((i + 1) % 2), 4, str(i)) for i in range(8)]
    assert compare(better, base, Bootstrap(500, 0))["word"] == "better"
    assert compare(base, better, Bootstrap(500, 0))["word"] == "worse"
    tied = compare(close, base, Bootstrap(500, 0))
    assert (tied["word"], tied["difference"], tied["num_problems"]) == ("tied", 0.0, 8)
    assert compare(base, [counted(1, 1, "other")], Bootstrap(500, 0)) is None


def test_draws_made_at_once_are_the_same_draws():
    values = np.random.default_rng(5).random(37)
    rng = np.random.default_rng(2)
    one_by_one = [values[rng.integers(37, size=37)].mean() for _ in range(1000)]
    wanted = tuple(round(float(x), 4) for x in np.percentile(one_by_one, [2.5, 97.5]))
    assert Bootstrap(1000, 2).interval(values) == wanted
