import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ded_ray.curate.weights import advantages, is_uniform, kernel, weights
from ded_ray.recipe import Kernel, Weights

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
    config = Weights(uniform_group=policy)
    assert weights([1.0] * 4, [True] * 4, config) == [right] * 4
    assert weights([0.0] * 4, [False] * 4, config) == [wrong] * 4
    assert weights([], [], config) == []


def test_floating_point_noise_is_no_ranking():
    rewards = [0.1 + 0.2, 0.3, 0.3]
    assert len(set(rewards)) == 2
    assert is_uniform(rewards)
    assert advantages(rewards) == [0.0] * 3


def test_what_is_right_in_a_uniform_group_is_not_read_from_its_rewards():
    assert weights([0.2, 0.2], [False, True], Weights()) == [0.0, 1.0]


def test_the_best_of_the_wrong_is_not_learnt_from():
    assert weights([0.2, 0.2, 0.0], [False] * 3, Weights()) == [0.0] * 3
    assert weights([0.2, 0.2, 0.0], [False] * 3, Weights(uniform_group="one")) == [1.0] * 3
    assert weights([1.2, 0.2, 0.0], [True, False, False], Weights())[1] > 0


ALL_KNOBS = st.builds(
    Weights,
    advantage=st.sampled_from(["mean_std", "leave_one_out", "rank"]),
    map=st.sampled_from(["softmax", "relu", "clip", "signed", "none"]),
    temperature=st.sampled_from([0.1, 1.0, 5.0]),
    alpha=st.sampled_from([0.2, 0.8]),
    uniform_group=st.sampled_from(["one_if_correct", "one", "drop"]),
    pass_rate=st.none() | st.builds(Kernel, a=st.sampled_from([0.0, 1.0, 2.0]), b=st.sampled_from([0.0, 0.5, 1.0])),
)


@given(REWARDS, ALL_KNOBS, st.none() | st.floats(0, 1))
def test_every_combination_sums_and_ranges_as_documented(rewards, config, pass_rate):
    relative = advantages(rewards, config.advantage)
    assert sum(relative) == pytest.approx(0, abs=1e-3)
    if config.advantage == "rank":
        assert all(-1 <= a <= 1 for a in relative)
    factor = kernel(pass_rate, config.pass_rate)
    assert 0 <= factor <= 1 + 1e-9
    corrects = [r > 0.5 for r in rewards]
    found = weights(rewards, corrects, config, pass_rate)
    plain = weights(rewards, corrects, config.model_copy(update={"pass_rate": None}))
    assert found == pytest.approx([w * factor for w in plain])
    if config.map == "none":
        assert plain == [1.0] * len(rewards)
    elif is_uniform(rewards) or not any(corrects):
        assert set(plain) <= {0.0, 1.0}
    else:
        match config.map:
            case "softmax":
                assert sum(plain) == pytest.approx(len(rewards))
                assert min(plain) >= 0
            case "relu":
                assert plain == [max(a, 0) for a in relative]
            case "clip":
                assert all(0.2 <= w <= 1.8 for w in plain)
            case "signed":
                assert sum(w for w in plain if w < 0) == pytest.approx(-config.alpha * sum(w for w in plain if w > 0))
        order = sorted(range(len(rewards)), key=lambda i: rewards[i])
        for lower, higher in pairwise(order):
            assert plain[lower] <= plain[higher] + 1e-9


def test_the_ways_to_stand_in_a_group_by_hand():
    assert advantages([1.0, 0.0, 0.0, 0.0], "leave_one_out") == pytest.approx([1.0, -1 / 3, -1 / 3, -1 / 3])
    assert advantages([0.3, 0.1 + 0.2, 1.0, 0.0], "rank") == pytest.approx([0, 0, 1, -1])
    assert advantages([1.0], "leave_one_out") == [0.0]


def test_the_kernel_is_widest_where_the_student_is_undecided():
    paced = Kernel()
    assert [kernel(p, paced) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0, 0.75, 1, 0])
    assert kernel(0.0, Kernel(a=0, b=1)) == 1.0
    assert kernel(None, paced) == 1.0
    assert kernel(0.3, Kernel(a=0, b=0)) == 1.0
