"""One group, curated: advantage and weight over all checked rollouts, then quality, then diversity among what is left.

Weights come first because they say how an answer stood among all of its group; what selection leaves keeps them.
"""

from collections.abc import Callable, Sequence

from ded_ray.curate.diversity import pick
from ded_ray.curate.quality import reason_to_drop
from ded_ray.curate.weights import advantages, weights
from ded_ray.recipe import Curate
from ded_ray.records import Example, Group

Encode = Callable[[str], Sequence[int]]
"""A text to the student's token ids."""


def curate_group(group: Group, knobs: Curate, encode: Encode, seed: int = 0, room: int | None = None) -> Group:
    """Fill in advantage, weight, pick_rank and dropped_because of every rollout. A rollout without a reason is kept.

    `room` is the longest completion that can be trained on, in the student's tokens.
    """
    checked = group.checked
    rewards = [rollout.reward or 0.0 for rollout in checked]
    corrects = [rollout.status == "correct" for rollout in checked]
    loss_weights = weights(rewards, corrects, knobs.weights, group.student_pass_rate)
    relative = advantages(rewards, knobs.weights.advantage)
    for rollout, advantage, weight in zip(checked, relative, loss_weights, strict=True):
        rollout.advantage, rollout.weight = advantage, weight
    token_ids = [encode(rollout.completion) for rollout in group.rollouts]
    for rollout, ids in zip(group.rollouts, token_ids, strict=True):
        rollout.pick_rank, rollout.dropped_because = None, reason_to_drop(rollout, len(ids), group.prompt, knobs.quality)
        if rollout.dropped_because is None and room is not None and len(ids) > room:
            rollout.dropped_because = "too_long"
        if rollout.dropped_because is None and not rollout.weight:
            rollout.dropped_because = "no_weight"
    _pick(group, knobs, token_ids, f"{seed}-{group.group_id}")
    _balance(group, knobs.weights.alpha)
    return group


def _pick(group: Group, knobs: Curate, token_ids: list[Sequence[int]], seed: str) -> None:
    """Keep P, and with signed weights P of those to learn from and P of those to be pushed away from."""
    by_words = knobs.diversity.over == "words"
    kept = [i for i, rollout in enumerate(group.rollouts) if rollout.dropped_because is None]
    for negative in (False, True):
        among = [i for i in kept if ((group.rollouts[i].weight or 0.0) < 0) == negative]
        rsr = [group.rollouts[i].rsr for i in among]
        for i in among:
            group.rollouts[i].dropped_because = "not_picked"
        counted = [group.rollouts[i].completion.split() if by_words else token_ids[i] for i in among]
        for rank, place in enumerate(pick(counted, knobs.diversity, seed, rsr)):
            picked = group.rollouts[among[place]]
            picked.pick_rank, picked.dropped_because = rank, None


def _balance(group: Group, alpha: float) -> None:
    """Signed weights: what was picked on the negative side weighs at most alpha times what was picked on the other, as it
    does in the whole group, where advantages sum to 0; nothing where there is no other (REDI finds 1 unstable)."""
    kept = [rollout for rollout in group.rollouts if rollout.dropped_because is None]
    pushed = [rollout for rollout in kept if (rollout.weight or 0.0) < 0]
    if not pushed:
        return
    learnt = sum(max(rollout.weight or 0.0, 0.0) for rollout in kept)
    share = min(1.0, alpha * learnt / -sum(rollout.weight or 0.0 for rollout in pushed))
    for rollout in pushed:
        rollout.weight = (rollout.weight or 0.0) * share
        if not share:
            rollout.pick_rank, rollout.dropped_because = None, "no_weight"


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
