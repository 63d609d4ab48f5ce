"""Quality and correctness (DED, Method): length, strict pairing of think tags, and a correct verdict."""

from ded_ray.recipe import Quality
from ded_ray.records import Rollout
from ded_ray.thinking import think_is_paired


def reason_to_drop(rollout: Rollout, num_tokens: int, quality: Quality) -> str | None:
    """Why a completion is not to be trained on, the verdict's own name first; None if it may be.

    `num_tokens` is its length in the student's tokens. Truncated and unchecked rollouts are never trained on.
    """
    if rollout.status != "correct" and not (quality.keep_wrong and rollout.status in {"wrong", "no_answer"}):
        return rollout.status
    if not think_is_paired(rollout.completion):
        return "think_unpaired"
    if quality.max_tokens is not None and num_tokens > quality.max_tokens:
        return "too_long"
    return None
