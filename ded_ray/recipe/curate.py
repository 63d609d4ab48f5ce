"""Knobs of what is kept and what it weighs. Where a paper is silent, the default is our choice and says so."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from ded_ray.recipe.config import Config, Rate, Workers


class Questions(Config):
    """Which questions are asked at all: each once, and none that a benchmark of this recipe asks."""

    near_duplicate: Annotated[float, Field(gt=0, le=1)] | None = 0.9
    """Drop a question that shares more than about this much of its runs of five words (Jaccard) with one before it; null:
    only equal ones. Our choice."""
    ngram: PositiveInt | None = 13
    """Words in a row. Drop a question that shares a run of this length with a benchmark's (13: GPT-3, arXiv 2005.14165,
    appendix C; 8 drops more), or contains the whole of a shorter benchmark question; null: only equal ones."""


class Quality(Config):
    """DED's quality and correctness (Method, corpus filtering), and two rules of our own."""

    max_tokens: PositiveInt | None = None
    """Drop longer completions as `over_max_tokens`, counted in the student's tokens. DED: 16k."""
    max_loop: Rate | None = 0.2
    """Drop a completion if a loop (the same four times in a row or more) is a larger share of it than this: of its words,
    or, where no space breaks the loop, of its characters. Ours."""
    max_foreign: Rate | None = 0.1
    """Drop a completion if a larger share of its letters is of scripts that the question does not use. Latin and Greek are
    always allowed. For teachers that fall into another language. Ours."""
    keep_wrong: bool = False
    """true: checked but wrong completions are trained on too, with the weight of their (low) advantage."""


class Compress(Config):
    """DED's question compression, by the student's pass rate. A question whose rate is not known is kept."""

    max_student_pass_rate: Rate = 0.75
    """Drop a question that the student already answers more often than this. DED states no threshold: our choice."""
    min_student_pass_rate: Rate = 0.0
    """Drop one that it answers less often. LIMO (arXiv 2502.03387) keeps 1 to 3 of 32: 0.03 and 0.1."""


class Reading(Config):
    """How the student reads what others wrote, for its surprisal (diversity.pick: lowest_rsr, teachers.proxy: rsr)."""

    SPEED = frozenset({"workers", "num_cpus", "num_gpus", "batch_tokens"})

    workers: Workers = 1
    num_cpus: PositiveFloat = 1
    num_gpus: Annotated[float, Field(ge=0)] = 0
    batch_tokens: PositiveInt = 16_384
    """Of one forward pass, padding included."""


class Diversity(Config):
    """Which completions of a question are kept; DED's farthest-P and what it should be compared with."""

    num_kept: PositiveInt | None = 4
    """P, completions kept per question; null keeps all. DED's corpora have about 4 (its Tables 3 and 4: 965/237)."""
    pick: Literal["farthest", "farthest_sum", "random", "lowest_rsr", "longest", "shortest"] = "farthest"
    """farthest: the next pick is the one whose nearest pick is farthest (max-min); farthest_sum: the one with the largest
    summed distance to the picks; random: seeded; lowest_rsr: lowest Rank-Surprisal Ratio under the student (arXiv
    2601.14249), which costs a forward pass. DED says "the farthest P" by Levenshtein distance and no more."""
    over: Literal["tokens", "words"] = "tokens"
    """What the distance counts. DED does not say; the student's tokens are our choice."""


class Kernel(Config):
    """Exponents of p^a (1 - p)^b, p being the question's student pass rate."""

    a: NonNegativeFloat = 1.0
    b: NonNegativeFloat = 1.0


class Weights(Config):
    """AdvDistill's group-relative advantage, turned into loss weights: our declared reading (curate/weights.py)."""

    advantage: Literal["mean_std", "leave_one_out", "rank"] = "mean_std"
    """GRPO's, RLOO's, or the rank alone."""
    map: Literal["softmax", "relu", "clip", "signed", "none"] = "softmax"
    """softmax(A / temperature) x G; max(A, 0); 1 + A within `clip`; A itself, which pushes away from what is worse than the
    rest of its group; or 1 for every completion."""
    temperature: PositiveFloat = 1.0
    """tau of the softmax. Our choice: the paper's text is not to be had."""
    clip: tuple[NonNegativeFloat, PositiveFloat] = (0.2, 1.8)
    """Bounds of map clip. Our choice."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """signed: factor of the negative weights. REDI (arXiv 2505.24850): 0.8 was best, 1 unstable, with a small learning
    rate (1e-6) after a training on right answers alone."""
    pass_rate: Kernel | None = None
    """Set: times p^a (1 - p)^b of the question (PACED, arXiv 2603.11178: a = b = 1), scaled to 1 at its peak."""
    uniform_group: Literal["one_if_correct", "one", "drop"] = "one_if_correct"
    """A group whose rewards are all equal (max - min <= 1e-6) has no advantages, and one without a correct completion has
    none to learn from: weight 1 for every correct completion and no training on the others, weight 1 for all, or drop the
    group."""


class Curate(Config):
    SPEED = frozenset({"workers"})

    workers: Workers = 1
    """Actors that curate, half a CPU each. One does a thousand groups of 8 short answers per second, or ten of 16k
    tokens each, whose distances take long: [1, 8] on a cluster."""
    questions: Questions = Questions()
    compress: Compress = Compress()
    quality: Quality = Quality()
    diversity: Diversity = Diversity()
    weights: Weights = Weights()
    reading: Reading = Reading()
    mix: dict[str, PositiveInt] = {}
    """Examples per subject (`problems.subject`), such as {math: 400, code: 400}, DED's best mixture; {}: all there are. How
    DED drew its halves is not stated: whole questions in a seeded order is our choice."""

    @model_validator(mode="after")
    def _consistent(self) -> "Curate":
        if self.weights.map == "signed" and not self.quality.keep_wrong:
            raise ValueError("weights.map: signed weighs wrong completions; set quality.keep_wrong: true")
        if self.compress.min_student_pass_rate > self.compress.max_student_pass_rate:
            raise ValueError("compress.min_student_pass_rate: is above max_student_pass_rate, nothing would be left")
        if self.weights.clip[0] > self.weights.clip[1]:
            raise ValueError("weights.clip: the lower bound is above the upper")
        return self
