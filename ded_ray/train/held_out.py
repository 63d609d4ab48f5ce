"""How long to train, chosen on questions that are not trained on.

The number of steps decides in both directions: too few teach nothing, too many teach the training answers by heart. So
a share of the questions is held out; their loss, or the student's pass rate on them (pass_rate.py), is measured now and
then; the best checkpoint is what comes out.
"""

from collections.abc import Sequence

import numpy as np

from ded_ray.recipe import HeldOut
from ded_ray.records import stable_hash
from ded_ray.train.step import Place, loss_of
from ded_ray.train.strategy import Strategy
from ded_ray.train.tokens import Tokens

LOSS, PASS_RATE = "held_out_loss", "held_out_pass_rate"


def split(tokens: Tokens, config: HeldOut | None) -> tuple[list[int], list[int]]:
    """(what is trained on, what is held out), by question: all answers to one are on the same side. At least one question
    stays on each side if there are two."""
    if config is None:
        return list(range(len(tokens))), []
    names, question_of = tokens.questions()
    order = sorted(range(len(names)), key=lambda n: stable_hash("held out", names[n]))
    out = np.zeros(len(names), bool)
    out[order[: min(max(1, round(config.fraction * len(order))), len(order) - 1)]] = True
    is_out = out[question_of]
    return np.flatnonzero(~is_out).tolist(), np.flatnonzero(is_out).tolist()


def held_out_loss(strategy: Strategy, tokens: Tokens, indices: Sequence[int], place: Place) -> float:
    """The weighted mean loss of these sequences, in nats per token."""
    losses, normalizers = [], []
    for start in range(0, len(indices), place.train.batch_size):
        loss, normalizer = loss_of(strategy, tokens, list(indices[start : start + place.train.batch_size]), place)
        losses.append(loss)
        normalizers.append(normalizer)
    return float(np.average(losses, weights=normalizers))


def best_step(curve: Sequence[dict[str, float]], config: HeldOut) -> int | None:
    """The step that was measured best, the first of equals; None if none was measured."""
    scores = _scores(curve, config)
    return max(scores, key=lambda step: scores[step]) if scores else None


def is_over(curve: Sequence[dict[str, float]], config: HeldOut) -> bool:
    """Whether the last `patience` measurements were all no better than one before them."""
    if config.patience is None:
        return False
    scores = list(_scores(curve, config).values())
    return len(scores) > config.patience and max(scores[-config.patience :]) <= max(scores[: -config.patience])


def _scores(curve: Sequence[dict[str, float]], config: HeldOut) -> dict[int, float]:
    """By step, higher is better: the pass rate where that is asked for, else the loss with its sign changed."""
    name, sign = (LOSS, -1) if config.pass_rate is None else (PASS_RATE, 1)
    return {int(point["step"]): sign * point[name] for point in curve if name in point}
