"""The learning rate of every step."""

import math

from ded_ray.recipe import Train


def learning_rate_at(step: int, total: int, train: Train) -> float:
    """Linear warm-up, then a cosine down to a tenth of the peak. Our choice: DED states no schedule."""
    warmup = max(1, round(train.warmup_fraction * total))
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return train.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))
