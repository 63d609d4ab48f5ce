"""One group, curated: advantage and weight over all checked rollouts, then quality, then diversity among what is left.

Weights come first because they say how an answer stood among all of its group; what selection leaves keeps them.
"""

from collections.abc import Callable, Sequence

from ded_ray.curate.diversity import pick
from ded_ray.curate.quality import reason_to_drop
from ded_ray.curate.weights import advantages, weights
from ded_ray.recipe import Curate
from ded_ray.records import Group

Encode = Callable[[str], Sequence[int]]
"""A text to the student's token ids."""


def curate_group(group: Group, config: Curate, encode: Encode, *, seed: int = 0, max_tokens: int | None = None) -> Group:
    """Fill in advantage, weight, pick_rank and dropped_because of every rollout. A rollout without a reason is kept.

    `max_tokens` is the longest completion that can be trained on (`train.max_length` less the prompt and the end token),
    in the student's tokens.
    """
    checked = group.checked
    rewards = [rollout.reward or 0.0 for rollout in checked]
    corrects = [rollout.status == "correct" for rollout in checked]
    loss_weights = weights(rewards, corrects, config.weights, group.student_pass_rate)
    relative = advantages(rewards, config.weights.advantage)
    for rollout, advantage, weight in zip(checked, relative, loss_weights, strict=True):
        rollout.advantage, rollout.weight = advantage, weight
    token_ids = [encode(rollout.completion) for rollout in group.rollouts]
    for rollout, ids in zip(group.rollouts, token_ids, strict=True):
        rollout.pick_rank, rollout.dropped_because = None, reason_to_drop(rollout, len(ids), group.prompt, config.quality)
        if rollout.dropped_because is None and max_tokens is not None and len(ids) > max_tokens:
            rollout.dropped_because = "over_train_max_length"
        if rollout.dropped_because is None and not rollout.weight:
            rollout.dropped_because = "no_weight"
    _pick(group, config, token_ids, f"{seed}-{group.group_id}")
    _balance(group, config.weights.alpha)
    return group


def _pick(group: Group, config: Curate, token_ids: list[Sequence[int]], seed: str) -> None:
    """Keep P, and with signed weights P of those to learn from and P of those to be pushed away from."""
    by_words = config.diversity.over == "words"
    kept = [i for i, rollout in enumerate(group.rollouts) if rollout.dropped_because is None]
    for negative in (False, True):
        among = [i for i in kept if ((group.rollouts[i].weight or 0.0) < 0) == negative]
        rsr = [group.rollouts[i].rsr for i in among]
        for i in among:
            group.rollouts[i].dropped_because = "not_picked"
        counted = [group.rollouts[i].completion.split() if by_words else token_ids[i] for i in among]
        for rank, place in enumerate(pick(counted, config.diversity, seed, rsr)):
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
