"""Knobs of the reward: a weighted sum of terms over the checked rollouts of a group (verify/reward/)."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt, model_validator

from ded_ray.recipe.config import Config


class CorrectnessReward(Config):
    """1 for a correct answer, 0 for any other that was checked."""

    weight: float = 1.0


class FormatReward(Config):
    """1 for a completion that keeps every rule that is on, else 0."""

    weight: float = 0.0
    think: Literal["off", "paired", "required"] = "paired"
    """`paired`: no think tags, or exactly one pair in the right order (DED, Method); `required`: exactly one pair, and
    something after it. A chat template that opens the thinking part leaves only its closing tag to the completion."""
    single_box: bool = True
    """Exactly one \\boxed{} after the thinking part, and it closes."""


class LengthReward(Config):
    """Shorter right answers and longer wrong ones are better; off by default, and needs token counts."""

    weight: float = 0.0
    shape: Literal["cosine", "linear"] = "cosine"
    """`cosine`: correct 1 at 0 tokens falling to 0 at max_tokens, others -1 rising to 0 (arXiv 2502.03373, section 4;
    the end points are ours). `linear`: 0.5 at the group's shortest to -0.5 at its longest, never above 0 when not
    correct (Kimi k1.5, arXiv 2501.12599, section 2.3.3)."""
    max_tokens: PositiveInt = 16_384
    """cosine: the length at which its effect ends. DED's limit is 16k."""


class TruncationReward(Config):
    """-1 for a completion that was cut off."""

    weight: float = 0.0
    soft_tokens: NonNegativeInt = 0
    """More than 0: falls linearly from 0 to -1 over this many tokens before max_tokens (DAPO, arXiv 2503.14476, eq. 13)."""
    max_tokens: PositiveInt = 16_384
    """Where the soft fall ends."""


class Rewards(Config):
    """What could not be checked (timed_out, crashed, unverifiable) gets no reward at all, not even a bad one."""

    correctness: CorrectnessReward = CorrectnessReward()
    format: FormatReward = FormatReward()
    length: LengthReward = LengthReward()
    truncation: TruncationReward = TruncationReward()

    @model_validator(mode="after")
    def _something_counts(self) -> "Rewards":
        if not any(term.weight for term in (self.correctness, self.format, self.length, self.truncation)):
            raise ValueError("every weight is 0: then no completion is better than another; give one term a weight")
        return self

    @property
    def needs_token_counts(self) -> bool:
        return bool(self.length.weight or (self.truncation.weight and self.truncation.soft_tokens))
