import pytest

from ded_ray.evaluate.intervals import Bootstrap
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
    row = score(GROUPS, Bootstrap(1000, 0))
    assert row["pass_at_1"] == 0.5
    assert (row["num_problems"], row["num_samples"], row["num_unchecked"]) == (3, 8, 3)
    assert row["cut_off_rate"] == 0.125
    assert row["ci95_low"] <= row["pass_at_1"] <= row["ci95_high"]


def test_nothing_checked_is_no_score():
    row = score([GROUPS[2]], Bootstrap(100, 0))
    assert (row["pass_at_1"], row["ci95_low"], row["num_problems"], row["num_unchecked"]) == (None, None, 0, 2)


def test_a_refused_prompt_counts_as_unchecked_and_stays_in_the_denominator():
    never_came = Rollout(index=0, completion="", num_tokens=0, finish_reason="other", seed=0, status="unverifiable")
    refused = Group.of(Problem(problem_id="r", prompt="?", answer="1"), "r", "m", [never_came] * 2)
    assert pass_rates([GROUPS[1], refused]) == {"b": 1.0, "r": 0.0}
    row = score([GROUPS[1], refused], Bootstrap(100, 0))
    assert (row["pass_at_1"], row["num_problems"], row["num_samples"], row["num_unchecked"]) == (0.5, 2, 4, 3)


def test_the_interval_is_repeatable_and_covers_what_it_should():
    rates = [0.0, 1.0] * 50
    assert Bootstrap(2000, 1).interval(rates) == Bootstrap(2000, 1).interval(rates)
    low, high = Bootstrap(5000, 1).interval(rates)
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.015)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.015)
    assert Bootstrap(100, 0).interval([1.0] * 9) == (1.0, 1.0)
