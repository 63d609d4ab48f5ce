"""Group-relative advantages as loss weights: our declared reading of AdvDistill (arXiv 2507.00054).

The paper's full text is not to be had. Its abstract and Figure 1 say: 8 responses per prompt, rule-based rewards, the
relative advantage of each response within its group, and these "normally distributed rewards serve as weights". What
follows is ours: A = (r - mean) / (std + epsilon) over the group's checked rollouts, as GRPO has it, and the maps below.
Results got with it are "AdvDistill-style".
"""

import math
import statistics
from collections.abc import Sequence

from ded_ray.recipe import Weights

EPSILON = 1e-6
"""Added to the standard deviation. Our choice."""

UNIFORM_SPREAD = 1e-6
"""A group whose max - min is at most this has no ranking: tested on the spread, because a standard deviation that
should be 0 need not be 0 in floating point."""


def is_uniform(rewards: Sequence[float]) -> bool:
    return not rewards or max(rewards) - min(rewards) <= UNIFORM_SPREAD


def advantages(rewards: Sequence[float]) -> list[float]:
    """(r - mean) / (std + EPSILON), population standard deviation; all 0 for a uniform group, [] for an empty one."""
    if is_uniform(rewards):
        return [0.0] * len(rewards)
    mean, deviation = statistics.fmean(rewards), statistics.pstdev(rewards)
    return [(reward - mean) / (deviation + EPSILON) for reward in rewards]


def weights(rewards: Sequence[float], corrects: Sequence[bool], knobs: Weights) -> list[float]:
    """One weight >= 0 per reward.

    softmax: exp(A / tau) / sum x G, so the weights of a group sum to its size G; relu: max(A, 0); none: 1.
    A uniform group follows the policy `uniform_group` instead: `one_if_correct` (1 where the answer is correct, else
    0), `one`, or `drop` (all 0). With the map `none` there is no ranking to miss, and every weight is 1.
    """
    if knobs.map == "none":
        return [1.0] * len(rewards)
    if is_uniform(rewards):
        match knobs.uniform_group:
            case "one":
                return [1.0] * len(rewards)
            case "drop":
                return [0.0] * len(rewards)
        return [float(correct) for correct in corrects]
    relative = advantages(rewards)
    if knobs.map == "relu":
        return [max(a, 0.0) for a in relative]
    highest = max(relative)  # taken off before exp, so that a small temperature cannot overflow
    exponentials = [math.exp((a - highest) / knobs.temperature) for a in relative]
    return [e / sum(exponentials) * len(rewards) for e in exponentials]
