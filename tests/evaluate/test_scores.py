import pytest

from ded_ray.evaluate.intervals import bootstrap_interval
from ded_ray.evaluate.scores import pass_rates, score
from ded_ray.records import Group, Problem, Rollout


def group(name: str, *statuses: str) -> Group:
    rollouts = [
        Rollout(
            index=i, completion="", num_tokens=4, finish_reason="length" if s == "truncated" else "stop", seed=0, status=s
        )
        for i, s in enumerate(statuses)
    ]
    return Group.of(Problem(problem_id=name, prompt="?", answer="1"), name, "m", rollouts)


GROUPS = [group("a", "correct", "wrong"), group("b", "correct", "timed_out"), group("c", "crashed", "crashed"),
          group("d", "truncated", "no_answer")]  # fmt: skip


def test_what_could_not_be_checked_is_neither_right_nor_wrong():
    assert pass_rates(GROUPS) == {"a": 0.5, "b": 1.0, "d": 0.0}
    row = score("student", "x", "in", GROUPS, 1000, 0)
    assert row["pass_at_1"] == 0.5
    assert (row["num_problems"], row["num_samples"], row["num_unchecked"]) == (3, 8, 3)
    assert row["cut_off_rate"] == 0.125
    assert row["ci95_low"] <= row["pass_at_1"] <= row["ci95_high"]


def test_nothing_checked_is_no_score():
    row = score("student", "x", "in", [GROUPS[2]], 100, 0)
    assert (row["pass_at_1"], row["ci95_low"], row["num_problems"], row["num_unchecked"]) == (None, None, 0, 2)


def test_the_interval_is_repeatable_and_covers_what_it_should():
    rates = [0.0, 1.0] * 50
    assert bootstrap_interval(rates, 2000, 1) == bootstrap_interval(rates, 2000, 1)
    low, high = bootstrap_interval(rates, 5000, 1)
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.015)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.015)
    assert bootstrap_interval([1.0] * 9, 100, 0) == (1.0, 1.0)
