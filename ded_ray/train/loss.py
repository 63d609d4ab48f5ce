"""The weighted token loss, and the sum that normalises it over everything that one optimiser step sees."""

from collections.abc import Iterable

import torch
from torch.nn.functional import cross_entropy

IGNORED = -100
"""Label of a position that is not trained on: prompt and padding."""


def weighted_token_loss(logits_BTV: torch.Tensor, labels_BT: torch.Tensor, weights_B: torch.Tensor) -> torch.Tensor:
    """Sum over sequences of weight x sum of token cross-entropies in nats; a scalar, not normalised.

    Logits at position t predict the label at t + 1. Divide by `weighted_tokens` of the *whole* step, over all workers
    and micro-batches: a mean of means would give the tokens of a small micro-batch more say than others.
    """
    losses_BT = cross_entropy(
        logits_BTV[:, :-1].transpose(1, 2).float(), labels_BT[:, 1:], ignore_index=IGNORED, reduction="none"
    )
    return (losses_BT.sum(dim=1) * weights_B).sum()


def weighted_tokens(weights_and_lengths: Iterable[tuple[float, int]]) -> float:
    """Sum of weight x trained tokens: the normaliser of a step."""
    return sum(weight * num_tokens for weight, num_tokens in weights_and_lengths)
