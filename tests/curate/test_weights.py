import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ded_ray.curate.weights import advantages, is_uniform, weights
from ded_ray.recipe import Weights

REWARDS = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]) | st.floats(0, 1), min_size=1, max_size=16)


def test_two_right_of_eight_by_hand():
    rewards = [1.0, 1.0, *[0.0] * 6]
    right, wrong = 0.75 / math.sqrt(0.1875), -0.25 / math.sqrt(0.1875)
    assert advantages(rewards) == pytest.approx([right] * 2 + [wrong] * 6, rel=1e-5)
    total = 2 * math.exp(right) + 6 * math.exp(wrong)
    expected = [8 * math.exp(right) / total] * 2 + [8 * math.exp(wrong) / total] * 6
    corrects = [r > 0 for r in rewards]
    assert weights(rewards, corrects, Weights()) == pytest.approx(expected, rel=1e-5)
    assert weights(rewards, corrects, Weights(map="relu")) == pytest.approx([right] * 2 + [0.0] * 6, rel=1e-5)
    assert weights(rewards, corrects, Weights(map="none")) == [1.0] * 8


@given(REWARDS)
def test_advantages_have_mean_zero_and_keep_the_order(rewards):
    found = advantages(rewards)
    assert sum(found) == pytest.approx(0, abs=1e-4)
    for (r1, a1), (r2, a2) in zip(zip(rewards, found, strict=True), zip(rewards[1:], found[1:], strict=True), strict=False):
        assert (r1 > r2) <= (a1 >= a2)


@given(REWARDS, st.sampled_from([0.01, 0.5, 1.0, 10.0]))
def test_softmax_weights_sum_to_the_size_of_the_group(rewards, temperature):
    found = weights(rewards, [r > 0 for r in rewards], Weights(temperature=temperature, uniform_group="one"))
    assert sum(found) == pytest.approx(len(rewards))
    assert all(w >= 0 for w in found)


@pytest.mark.parametrize(("policy", "right", "wrong"), [("one_if_correct", 1.0, 0.0), ("one", 1.0, 1.0), ("drop", 0.0, 0.0)])
def test_uniform_groups_follow_their_policy(policy, right, wrong):
    knobs = Weights(uniform_group=policy)
    assert weights([1.0] * 4, [True] * 4, knobs) == [right] * 4
    assert weights([0.0] * 4, [False] * 4, knobs) == [wrong] * 4
    assert weights([], [], knobs) == []


def test_floating_point_noise_is_no_ranking():
    rewards = [0.1 + 0.2, 0.3, 0.3]
    assert len(set(rewards)) == 2
    assert is_uniform(rewards)
    assert advantages(rewards) == [0.0] * 3


def test_what_is_right_in_a_uniform_group_is_not_read_from_its_rewards():
    assert weights([0.2, 0.2], [False, True], Weights()) == [0.0, 1.0]
