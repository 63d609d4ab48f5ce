"""Knobs of `ded-ray grade`: those of a recipe that concern verdicts and rewards."""

from pydantic import model_validator

from ded_ray.recipe.config import Config
from ded_ray.recipe.problems import VerifierName
from ded_ray.recipe.rewards import Rewards
from ded_ray.recipe.verify import Verify


class Grade(Config):
    verifier: VerifierName = "math"
    verify: Verify = Verify()
    rewards: Rewards = Rewards()

    @model_validator(mode="after")
    def _row_by_row(self) -> "Grade":
        if self.rewards.length.weight and self.rewards.length.shape == "linear":
            raise ValueError("rewards.length.shape: linear compares within a group, grade sees single rows; use cosine")
        return self
