"""What being cut off costs, and coming close to it (soft overlong punishment: DAPO, arXiv 2503.14476, equation 13)."""

from ded_ray.recipe import TruncationReward
from ded_ray.records import Rollout


def truncation(rollout: Rollout, config: TruncationReward) -> float:
    """-1 when cut off, else 0; with `soft_tokens` a linear fall from 0 to -1 over the last of them before max_tokens."""
    if rollout.finish_reason == "length":
        return -1.0
    if not config.soft_tokens:
        return 0.0
    over = rollout.num_tokens - (config.max_tokens - config.soft_tokens)
    return -min(max(over / config.soft_tokens, 0.0), 1.0)
