"""Bytes that a run leaves in its folder."""

from collections.abc import Sequence

from ded_ray.plan.cost import Cost
from ded_ray.plan.interval import NOTHING, Interval
from ded_ray.plan.shape import Shape
from ded_ray.recipe import Recipe

BYTES_PER_TOKEN = 2.5
"""Of text in Parquet: some 4 characters a token, which its compression makes fewer. A guess."""
BYTES_PER_ROLLOUT = 100
"""Of its other columns."""
COPIES = {"student answers": 2, "teacher answers": 3, "smoke test": 3, "evaluate": 2, "judge": 1}
"""Stages of a step that hold every rollout: rollouts, verdicts, and what curation made of them."""
CHECKPOINTS = 3
"""Two are kept, and one is being written."""


def disk_of(costs: Sequence[Cost], recipe: Recipe, student: Shape | None) -> dict[str, Interval | None]:
    """Bytes by what they are for. Checkpoints are deleted at the end of the training; the model stays."""
    rollouts = NOTHING
    for cost in costs:
        of_one = cost.tokens * BYTES_PER_TOKEN + cost.rollouts * BYTES_PER_ROLLOUT
        rollouts += of_one * COPIES.get(cost.step, 0)
    disk: dict[str, Interval | None] = {"rollouts and verdicts": rollouts}
    if student is None:
        return {**disk, "checkpoints while it trains": None, "the trained model": None}
    if recipe.train.lora is None:
        # Parameters in float32 and AdamW's two moments.
        disk["checkpoints while it trains"] = Interval.exactly(12.0 * student.parameters * CHECKPOINTS)
    width = {"float32": 4.0, "bfloat16": 2.0}.get(recipe.train.export_dtype or "", student.weight_bytes)
    return disk | {"the trained model": Interval.exactly(width * student.parameters)}
