import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ded_ray.errors import BadInput
from ded_ray.recipe import FormatReward, Rewards, TruncationReward
from ded_ray.recipe.load import grade_config
from ded_ray.records import CHECKED, Group, Problem, Rollout
from ded_ray.verify.reward.format import format_reward
from ded_ray.verify.reward.length import cosine, linear
from ded_ray.verify.reward.total import reward_group
from ded_ray.verify.reward.truncation import truncation

STATUSES = ["correct", "wrong", "no_answer", "truncated", "timed_out", "crashed", "unverifiable"]


def rollout(status="correct", num_tokens=100, completion=r"\boxed{1}"):
    reason = "length" if status == "truncated" else "stop"
    return Rollout(index=0, completion=completion, num_tokens=num_tokens, finish_reason=reason, seed=0, status=status)


def rewards_of(rollouts, **config):
    group = Group.of(Problem(problem_id="p", prompt="?", answer="1"), "g", "m", rollouts)
    return [r.reward for r in reward_group(group, Rewards.model_validate(config)).rollouts]


def test_by_default_only_correctness_counts_and_the_unchecked_get_nothing():
    assert rewards_of([rollout(status) for status in STATUSES]) == [1.0, 0.0, 0.0, 0.0, None, None, None]


@pytest.mark.parametrize(
    ("completion", "think", "single_box", "value"),
    [
        (r"<think>a</think>\boxed{1}", "required", True, 1),
        (r"a</think>\boxed{1}", "required", True, 1),  # the chat template opened the thinking part
        (r"\boxed{1}", "required", True, 0),
        (r"\boxed{1}", "paired", True, 1),
        (r"<think>\boxed{1}", "paired", True, 0),
        (r"<think>a</think><think>b</think>\boxed{1}", "paired", True, 0),
        (r"</think><think>\boxed{1}", "paired", True, 0),
        (r"<think>a</think>", "required", False, 0),
        (r"<think>a</think>5", "required", False, 1),
        (r"\boxed{1} or \boxed{2}", "off", True, 0),
        (r"<think>\boxed{1} or \boxed{2}</think>\boxed{2}", "paired", True, 1),  # thinking may box what it likes
        (r"\boxed{1", "off", True, 0),
        (r"\boxed{}", "off", True, 0),
        ("5", "off", True, 0),
        ("5", "off", False, 1),
    ],
)
def test_format(completion, think, single_box, value):
    assert format_reward(completion, FormatReward(think=think, single_box=single_box)) == value


def test_cosine_runs_from_end_to_end():
    assert cosine(0, correct=True, max_tokens=100) == 1
    assert cosine(50, correct=True, max_tokens=100) == pytest.approx(0.5)
    assert cosine(100, correct=True, max_tokens=100) == pytest.approx(0)
    assert cosine(500, correct=True, max_tokens=100) == pytest.approx(0)
    assert cosine(0, correct=False, max_tokens=100) == -1
    assert cosine(100, correct=False, max_tokens=100) == pytest.approx(0)


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=16), st.integers(1, 16_384))
def test_cosine_prefers_short_right_and_long_wrong_answers(lengths, limit):
    right = [cosine(n, correct=True, max_tokens=limit) for n in sorted(lengths)]
    wrong = [cosine(n, correct=False, max_tokens=limit) for n in sorted(lengths)]
    assert right == sorted(right, reverse=True)
    assert wrong == sorted(wrong)
    assert all(-1 <= w <= 0 <= r <= 1 for r, w in zip(right, wrong, strict=True))


@given(st.lists(st.tuples(st.integers(1, 20_000), st.booleans()), max_size=16))
def test_linear_stays_between_its_ends_and_never_rewards_a_wrong_answer(group):
    lengths, corrects = [n for n, _ in group], [c for _, c in group]
    values = linear(lengths, corrects)
    assert all(-0.5 <= value <= 0.5 for value in values)
    assert all(value <= 0 for value, correct in zip(values, corrects, strict=True) if not correct)
    if len(set(lengths)) == 1:
        assert values == [0] * len(group)


def test_linear_of_a_group():
    assert linear([10, 20, 30], [True, True, True]) == [0.5, 0.0, -0.5]
    assert linear([10, 20, 30], [False, True, False]) == [0.0, 0.0, -0.5]


def test_truncation_hard_and_soft():
    hard, soft = TruncationReward(), TruncationReward(soft_tokens=100, max_tokens=1000)
    assert [truncation(r, hard) for r in (rollout("truncated"), rollout("wrong", 16_384))] == [-1, 0]
    assert [truncation(rollout("wrong", n), soft) for n in (900, 950, 1000, 2000)] == [0, -0.5, -1, -1]
    assert truncation(rollout("truncated", 1000), soft) == -1


def test_the_sum_is_weighted_and_no_reward_depends_on_what_was_not_checked():
    config = {"correctness": {"weight": 2}, "format": {"weight": 0.5}, "length": {"weight": 1, "shape": "linear"},
             "truncation": {"weight": 3}}  # fmt: skip
    checked = [rollout("correct", 10), rollout("wrong", 30, "x"), rollout("truncated", 20)]
    unchecked = [rollout("timed_out", 1), rollout("crashed", 9999), rollout("unverifiable", 0)]
    alone = rewards_of(checked, **config)
    assert alone == [2 + 0.5 + 0.5, 0 + 0 - 0.5, 0 + 0.5 + 0 - 3]
    assert rewards_of([*unchecked, *checked], **config) == [None, None, None, *alone]


@given(st.lists(st.sampled_from(STATUSES), max_size=12))
def test_every_checked_rollout_has_a_finite_reward_and_no_other_has_one(statuses):
    config = {"length": {"weight": 0.3}, "format": {"weight": 0.2}, "truncation": {"weight": 1, "soft_tokens": 5}}
    for status, reward in zip(statuses, rewards_of([rollout(s) for s in statuses], **config), strict=True):
        assert (reward is not None) == (status in CHECKED)
        assert reward is None or math.isfinite(reward)


def test_knobs_that_make_no_sense_are_refused():
    with pytest.raises(ValidationError, match="every weight is 0"):
        Rewards.model_validate({"correctness": {"weight": 0}})
    with pytest.raises(BadInput, match=r"--set rewards.length.wait: unknown knob"):
        grade_config("math", ["rewards.length.wait=1"])
    with pytest.raises(BadInput, match=r"compares within a group"):
        grade_config("math", ["rewards.length={weight: 1, shape: linear}"])
