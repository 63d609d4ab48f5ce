"""The reward of every rollout of a group: the weighted sum of the terms that have a weight."""

from ded_ray.recipe import Rewards
from ded_ray.records import Group, Rollout
from ded_ray.verify.reward.correctness import correctness
from ded_ray.verify.reward.format import format_reward
from ded_ray.verify.reward.length import cosine, linear
from ded_ray.verify.reward.truncation import truncation


def reward_group(group: Group, knobs: Rewards) -> Group:
    """Fill in the reward of every checked rollout; of the others it is None, and no other reward depends on them."""
    for rollout in group.rollouts:
        rollout.reward = None
    checked = group.checked
    for rollout, value in zip(checked, rewards(checked, knobs), strict=True):
        rollout.reward = value
    return group


def rewards(checked: list[Rollout], knobs: Rewards) -> list[float]:
    """One number per checked rollout of one group."""
    lengths = _length(checked, knobs)
    return [
        knobs.correctness.weight * correctness(rollout)
        + (knobs.format.weight and knobs.format.weight * format_reward(rollout.completion, knobs.format))
        + knobs.length.weight * length
        + (knobs.truncation.weight and knobs.truncation.weight * truncation(rollout, knobs.truncation))
        for rollout, length in zip(checked, lengths, strict=True)
    ]


def _length(checked: list[Rollout], knobs: Rewards) -> list[float]:
    if not knobs.length.weight:
        return [0.0] * len(checked)
    corrects = [rollout.status == "correct" for rollout in checked]
    if knobs.length.shape == "linear":
        return linear([rollout.num_tokens for rollout in checked], corrects)
    limit = knobs.length.max_tokens
    return [cosine(r.num_tokens, correct=c, max_tokens=limit) for r, c in zip(checked, corrects, strict=True)]
