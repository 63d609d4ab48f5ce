"""One group, curated: advantage and weight over all checked rollouts, then quality, then diversity among what is left.

Weights come first because they say how an answer stood among all of its group; what selection leaves keeps them.
"""

from collections.abc import Callable, Sequence

from ded_ray.curate.diversity import farthest
from ded_ray.curate.quality import reason_to_drop
from ded_ray.curate.weights import advantages, weights
from ded_ray.recipe import Curate
from ded_ray.records import Example, Group

Encode = Callable[[str], Sequence[int]]
"""A text to the student's token ids."""


def curate_group(group: Group, knobs: Curate, encode: Encode) -> Group:
    """Fill in advantage, weight and dropped_because of every rollout. A rollout without a reason is kept."""
    checked = group.checked
    rewards = [rollout.reward or 0.0 for rollout in checked]
    corrects = [rollout.status == "correct" for rollout in checked]
    loss_weights = weights(rewards, corrects, knobs.weights)
    for rollout, advantage, weight in zip(checked, advantages(rewards), loss_weights, strict=True):
        rollout.advantage, rollout.weight = advantage, weight
    token_ids = [encode(rollout.completion) for rollout in group.rollouts]
    for rollout, ids in zip(group.rollouts, token_ids, strict=True):
        rollout.dropped_because = reason_to_drop(rollout, len(ids), knobs.quality)
        if rollout.dropped_because is None and not rollout.weight:
            rollout.dropped_because = "no_weight"
    kept = [i for i, rollout in enumerate(group.rollouts) if rollout.dropped_because is None]
    if knobs.diversity.num_kept is not None:
        picks = farthest([token_ids[i] for i in kept], knobs.diversity.num_kept)
        for i in set(kept) - {kept[pick] for pick in picks}:
            group.rollouts[i].dropped_because = "not_diverse"
    return group


def examples_of(group: Group) -> list[Example]:
    """What is trained on: one example per kept rollout of a curated group."""
    return [
        Example(
            problem_id=group.problem_id,
            group_id=group.group_id,
            index=rollout.index,
            prompt=group.prompt,
            completion=rollout.completion,
            reward=rollout.reward or 0.0,
            advantage=rollout.advantage or 0.0,
            weight=rollout.weight or 0.0,
        )
        for rollout in group.rollouts
        if rollout.dropped_because is None
    ]
