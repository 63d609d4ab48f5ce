"""A training that has gone wrong stops at once, and names the rollouts of that step.

A NaN that trains on is exported, served and scored; so is a model that one step has thrown out of its senses.
"""

import math
from collections.abc import Sequence

EXPLODED = 1e4
"""Times the median gradient norm so far. Our choice: clipping takes care of less."""
NUM_SEEN = 10
"""Steps before a median says anything."""


def what_went_wrong(loss: float, norm: float, earlier_norms: Sequence[float]) -> str | None:
    """One phrase, or None when the step is sound. `norm` is the gradient norm before clipping."""
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    if not math.isfinite(norm):
        return f"the gradient norm is {norm}"
    if len(earlier_norms) >= NUM_SEEN:
        median = sorted(earlier_norms)[len(earlier_norms) // 2]
        if median > 0 and norm > EXPLODED * median:
            return f"the gradient norm is {norm:.3g}, {norm / median:.0f} times its median"
    return None
