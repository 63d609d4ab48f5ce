"""Whether the answer is right: the rule-based reward of DED and AdvDistill."""

from ded_ray.records import Rollout


def correctness(rollout: Rollout) -> float:
    """1 for `correct`, 0 for any other status."""
    return float(rollout.status == "correct")
