"""How long to train, chosen on questions that are not trained on.

The number of steps decides in both directions: too few teach nothing, too many teach the training answers by heart. So
a share of the questions is held out; their loss is measured now and then; the best checkpoint is what comes out.
"""

from collections.abc import Sequence

import numpy as np

from ded_ray.recipe import HeldOut
from ded_ray.records import stable_hash
from ded_ray.train.step import Place, loss_of
from ded_ray.train.strategy import Strategy
from ded_ray.train.tokens import Tokens

LOSS = "held_out_loss"


def split(tokens: Tokens, config: HeldOut | None) -> tuple[list[int], list[int]]:
    """(what is trained on, what is held out), by question: all answers to one are on the same side. At least one question
    stays on each side if there are two."""
    everything = list(range(len(tokens)))
    if config is None:
        return everything, []
    questions = [tokens.problem_id(i) for i in everything]
    order = sorted(set(questions), key=lambda name: stable_hash("held out", name))
    out = set(order[: min(max(1, round(config.fraction * len(order))), len(order) - 1)])
    return [i for i in everything if questions[i] not in out], [i for i in everything if questions[i] in out]


def held_out_loss(strategy: Strategy, tokens: Tokens, indices: Sequence[int], place: Place) -> float:
    """The weighted mean loss of these sequences, in nats per token."""
    losses, normalizers = [], []
    for start in range(0, len(indices), place.train.batch_size):
        loss, normalizer = loss_of(strategy, tokens, list(indices[start : start + place.train.batch_size]), place)
        losses.append(loss)
        normalizers.append(normalizer)
    return float(np.average(losses, weights=normalizers))


def best_step(curve: Sequence[dict[str, float]]) -> int | None:
    """The step with the lowest held-out loss, the first of equals; None if none was measured."""
    measured = [point for point in curve if LOSS in point]
    return int(min(measured, key=lambda point: point[LOSS])["step"]) if measured else None


def is_over(curve: Sequence[dict[str, float]], config: HeldOut) -> bool:
    """Whether the last `patience` measurements were all no better than one before them."""
    if config.patience is None:
        return False
    measured = [point[LOSS] for point in curve if LOSS in point]
    return len(measured) > config.patience and min(measured[-config.patience :]) >= min(measured[: -config.patience])
