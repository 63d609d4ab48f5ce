"""The weighted token loss, and the sum that normalises it over everything that one optimiser step sees."""

from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy, pad

IGNORED = -100
"""Label of a position that is not trained on: prompt and padding."""


def token_losses(logits_BTV: torch.Tensor, labels_BT: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats of every label, B x T; 0 where the label is IGNORED, and for the first token of a row.

    Logits at position t predict the label at t + 1.
    """
    losses = cross_entropy(
        logits_BTV[:, :-1].transpose(1, 2).float(), labels_BT[:, 1:], ignore_index=IGNORED, reduction="none"
    )
    return pad(losses, (1, 0))


def weighted_token_loss(losses_BT: torch.Tensor, weights_BT: torch.Tensor) -> torch.Tensor:
    """Sum of weight x token loss; a scalar, not normalised.

    Divide by the normaliser of `step_weights` of the *whole* step, over all workers and micro-batches: a mean of means
    would give the tokens of a small micro-batch more say than others.
    """
    return (losses_BT * weights_BT).sum()


def step_weights(weights: Sequence[float], num_tokens: Sequence[int]) -> tuple[list[float], float]:
    """(weight of each sequence, normaliser) of a step, from loss weights and numbers of trained tokens.

    The normaliser is the sum of weight x tokens over the weights above 0: their loss is a weighted mean over tokens.
    Negative weights (`curate.weights.map: signed`) are length-normalised, as REDI has it (arXiv 2505.24850):
    such a sequence counts by its mean token loss, as if it were as long as those above 0 are in the mean, so that a long
    wrong answer is not pushed away harder than a short one. Without any above 0 there is nothing to anchor them: all 0.
    """
    total = sum(weight * count for weight, count in zip(weights, num_tokens, strict=True) if weight > 0)
    if not total:
        return [0.0] * len(weights), 1.0
    mean_tokens = total / sum(weight for weight in weights if weight > 0)
    scaled = [
        weight if weight >= 0 else weight * mean_tokens / count for weight, count in zip(weights, num_tokens, strict=True)
    ]
    return scaled, total
