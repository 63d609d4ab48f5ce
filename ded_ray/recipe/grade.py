"""Knobs of `ded-ray grade`: those of a recipe that concern verdicts and rewards, and the names of the file's columns."""

from typing import Literal

from pydantic import model_validator

from ded_ray.recipe.config import Config
from ded_ray.recipe.problems import VerifierName
from ded_ray.recipe.rewards import Rewards
from ded_ray.recipe.verify import Verify

ColumnName = Literal["prompt", "answer", "completion", "choices", "finish_reason", "num_tokens"]


class Grade(Config):
    verifier: VerifierName = "math"
    columns: dict[ColumnName, str] = {}
    """What the file calls the columns that grade needs, where it has other names for them; `a.b` is field b of the objects
    in column a."""
    verify: Verify = Verify()
    rewards: Rewards = Rewards()

    def column(self, name: str) -> str:
        """What the file calls a column of grade's."""
        return next((source for own, source in self.columns.items() if own == name), name)

    @model_validator(mode="after")
    def _row_by_row(self) -> "Grade":
        if self.rewards.length.weight and self.rewards.length.shape == "linear":
            raise ValueError("rewards.length.shape: linear compares within a group, grade sees single rows; use cosine")
        return self
