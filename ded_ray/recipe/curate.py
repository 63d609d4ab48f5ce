"""Knobs of what is kept and what it weighs. Where a paper is silent, the default is our choice and says so."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from ded_ray.knobs import Knobs, Rate


class Quality(Knobs):
    """DED's quality and correctness (Method, corpus filtering)."""

    max_tokens: PositiveInt | None = None
    """Drop longer completions, counted in the student's tokens. DED: 16k."""
    keep_wrong: bool = False
    """true: checked but wrong completions are trained on too, with the weight of their (low) advantage."""


class Compress(Knobs):
    """DED's question compression."""

    max_student_pass_rate: Rate = 0.75
    """Drop a question that the student already answers more often than this. DED states no threshold: our choice."""


class Diversity(Knobs):
    """DED's farthest-P: which completions of a question are kept."""

    num_kept: PositiveInt | None = 4
    """P, completions kept per question; null keeps all. DED's corpora have about 4 (its Tables 3 and 4: 965/237)."""


class Weights(Knobs):
    """AdvDistill's group-relative advantage, turned into loss weights: our declared reading (curate/weights.py)."""

    map: Literal["softmax", "relu", "none"] = "softmax"
    """softmax(A / temperature) x G; max(A, 0); or 1 for every completion."""
    temperature: PositiveFloat = 1.0
    """tau of the softmax. Our choice: the paper's text is not to be had."""
    uniform_group: Literal["one_if_correct", "one", "drop"] = "one_if_correct"
    """A group whose rewards are all equal (max - min <= 1e-6) has no advantages: weight 1 for every correct
    completion and no training on the others, weight 1 for all, or drop the group."""


class Curate(Knobs):
    compress: Compress = Compress()
    quality: Quality = Quality()
    diversity: Diversity = Diversity()
    weights: Weights = Weights()
