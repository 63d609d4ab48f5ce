"""The reward of every rollout of a group: the weighted sum of the terms that have a weight."""

from ded_ray.recipe import Rewards
from ded_ray.records import Group, Rollout
from ded_ray.verify.reward.correctness import correctness
from ded_ray.verify.reward.format import format_reward
from ded_ray.verify.reward.length import cosine, linear
from ded_ray.verify.reward.truncation import truncation


def reward_group(group: Group, config: Rewards) -> Group:
    """Fill in the reward of every checked rollout; of the others it is None, and no other reward depends on them."""
    for rollout in group.rollouts:
        rollout.reward = None
    checked = group.checked
    for rollout, value in zip(checked, rewards(checked, config), strict=True):
        rollout.reward = value
    return group


def rewards(checked: list[Rollout], config: Rewards) -> list[float]:
    """One number per checked rollout of one group."""
    values = []
    for rollout, length in zip(checked, _length(checked, config), strict=True):
        value = config.correctness.weight * correctness(rollout)
        if config.format.weight:
            value += config.format.weight * format_reward(rollout.completion, config.format)
        value += config.length.weight * length
        if config.truncation.weight:
            value += config.truncation.weight * truncation(rollout, config.truncation)
        values.append(value)
    return values


def _length(checked: list[Rollout], config: Rewards) -> list[float]:
    if not config.length.weight:
        return [0.0] * len(checked)
    corrects = [rollout.status == "correct" for rollout in checked]
    if config.length.shape == "linear":
        return linear([rollout.num_tokens for rollout in checked], corrects)
    limit = config.length.max_tokens
    return [cosine(r.num_tokens, correct=c, max_tokens=limit) for r, c in zip(checked, corrects, strict=True)]
