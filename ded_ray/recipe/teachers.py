"""Knobs of the teachers, and of choosing the one that teaches this student best (DED's smoke test)."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from ded_ray.recipe.config import Config
from ded_ray.recipe.generate import Teacher


class Teachers(Config):
    """DED asks each candidate the same questions once, trains the student on each corpus and compares: "quick distillation
    tests". It states neither the size of the training nor how scores on several benchmarks are put together."""

    candidates: Annotated[tuple[Teacher, ...], Field(min_length=1)]
    choose: bool = False
    """false: every candidate answers every question; true (`teacher: auto`): only the one that is chosen."""
    num_questions: PositiveInt = 200
    """The same for all, drawn by the recipe's seed. DED: 1,000; the RSR paper: 200 are enough for the proxy."""
    epochs: PositiveInt = 3
    """Passes over as many examples; every candidate's student gets the same number of steps. Our choice."""
    proxy: Literal["rsr"] | None = None
    """rsr: the lowest Rank-Surprisal Ratio under the student wins (arXiv 2601.14249), and nothing is trained. null: the
    highest mean pass@1 of the trained student over the in-domain benchmarks wins; equal scores by fewer tokens per verified
    answer."""
