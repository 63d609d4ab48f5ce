"""Group-relative advantages as loss weights: our declared reading of AdvDistill (arXiv 2507.00054).

The paper's full text is not to be had. Its abstract and Figure 1 say: 8 responses per prompt, rule-based rewards, the
relative advantage of each response within its group, and these "normally distributed rewards serve as weights". What
follows is ours, put together from named sources; results got with it are "AdvDistill-style".
"""

import math
import statistics
from collections.abc import Sequence

from ded_ray.recipe import Kernel, Weights

EPSILON = 1e-6
"""Added to the standard deviation. Our choice."""

UNIFORM_SPREAD = 1e-6
"""A group whose max - min is at most this has no ranking: tested on the spread, because a standard deviation that
should be 0 need not be 0 in floating point."""


def is_uniform(rewards: Sequence[float]) -> bool:
    return not rewards or max(rewards) - min(rewards) <= UNIFORM_SPREAD


def advantages(rewards: Sequence[float], kind: str = "mean_std") -> list[float]:
    """How each of a group's rewards stands among the others; their sum is 0. All 0 for a uniform group, [] for an empty one.

    mean_std: (r - mean) / (population standard deviation + EPSILON) (GRPO, arXiv 2402.03300, section 4.1.2).
    leave_one_out: r - mean of the others (RLOO, arXiv 2402.14740, section 3.2); in units of the reward.
    rank: from -1 (lowest) to 1 (highest) in equal steps, ties sharing the mean of theirs; our own.
    """
    if is_uniform(rewards):
        return [0.0] * len(rewards)
    mean, count = statistics.fmean(rewards), len(rewards)
    if kind == "leave_one_out":
        return [(reward - mean) * count / (count - 1) for reward in rewards]
    if kind == "rank":
        rounded = [round(reward, 9) for reward in rewards]  # 0.1 + 0.2 ties with 0.3
        below = [sum(other < reward for other in rounded) for reward in rounded]
        equal = [sum(other == reward for other in rounded) for reward in rounded]
        return [(2 * lower + same - 1) / (count - 1) - 1 for lower, same in zip(below, equal, strict=True)]
    deviation = statistics.pstdev(rewards)
    return [(reward - mean) / (deviation + EPSILON) for reward in rewards]


def weights(
    rewards: Sequence[float], corrects: Sequence[bool], config: Weights, pass_rate: float | None = None
) -> list[float]:
    """One weight per reward, by the map of the knobs, times the kernel of the question's student pass rate.

    softmax: exp(A / temperature) / sum x G, so that a group's weights sum to its size G. relu: max(A, 0). clip: 1 + A
    between the two bounds. signed: A, a negative one times alpha (REDI, arXiv 2505.24850: its loss needs length
    normalisation, see train/loss.py). none: 1. All but signed give weights >= 0.

    A uniform group, and one without a correct answer, whose best is only the best of the wrong, follow the policy
    `uniform_group` instead: `one_if_correct` (1 where the answer is correct, else 0), `one`, or `drop` (all 0). With the
    map `none` there is no ranking to miss, and every weight is 1.
    """
    factor = kernel(pass_rate, config.pass_rate)
    return [weight * factor for weight in _mapped(rewards, corrects, config)]


def _mapped(rewards: Sequence[float], corrects: Sequence[bool], config: Weights) -> list[float]:
    if config.map == "none":
        return [1.0] * len(rewards)
    if is_uniform(rewards) or not any(corrects):
        match config.uniform_group:
            case "one":
                return [1.0] * len(rewards)
            case "drop":
                return [0.0] * len(rewards)
        return [float(correct) for correct in corrects]
    relative = advantages(rewards, config.advantage)
    match config.map:
        case "relu":
            return [max(a, 0.0) for a in relative]
        case "clip":
            low, high = config.clip
            return [min(max(1 + a, low), high) for a in relative]
        case "signed":
            return [a if a > 0 else config.alpha * a for a in relative]
    highest = max(relative)  # taken off before exp, so that a small temperature cannot overflow
    exponentials = [math.exp((a - highest) / config.temperature) for a in relative]
    return [e / sum(exponentials) * len(rewards) for e in exponentials]


def kernel(pass_rate: float | None, config: Kernel | None) -> float:
    """p^a (1 - p)^b over its largest value, in [0, 1]: most for questions at the edge of what the student can do.

    PACED (arXiv 2603.11178) weights by p (1 - p), and in general by this Beta kernel; that its peak is 1 is our choice.
    1 where there is no kernel, or where the pass rate is not known.
    """
    if config is None or pass_rate is None:
        return 1.0

    def beta(p: float) -> float:
        return p**config.a * (1 - p) ** config.b

    peak = config.a / (config.a + config.b) if config.a + config.b else 0.5
    return beta(pass_rate) / beta(peak)
