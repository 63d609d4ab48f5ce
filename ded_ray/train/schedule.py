"""The learning rate of every step."""

import math

from ded_ray.recipe import Train

LOWEST = 0.1
"""Of the peak, where a schedule ends."""


def learning_rate_at(step: int, total: int, train: Train) -> float:
    """Linear warm-up, then `train.schedule` down to a tenth of the peak. Our choice: DED states no schedule."""
    warmup = max(1, round(train.warmup_fraction * total))
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    match train.schedule:
        case "constant":
            left = 1.0
        case "linear":
            left = 1 - progress
        case "cosine":
            left = 0.5 * (1 + math.cos(math.pi * progress))
    return train.learning_rate * (LOWEST + (1 - LOWEST) * left)
