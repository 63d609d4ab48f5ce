"""Knobs of measuring a model."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from ded_ray.recipe.config import Config, Rate
from ded_ray.recipe.generate import Sampling
from ded_ray.recipe.problems import Problems


class Benchmark(Config):
    ADDED = frozenset({"num_samples"})

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    """Also the name of its file: letters, digits, '.', '_' and '-'."""
    domain: Literal["in", "out"]
    """in-domain: what is distilled; out-of-domain: what should not be forgotten."""
    problems: Problems
    num_samples: PositiveInt | None = None
    """Samples per problem; null: `num_rollouts` of evaluate.sampling."""


class Evaluate(Config):
    SPEED = frozenset({"concurrency", "max_out_of_domain_drop"})

    benchmarks: tuple[Benchmark, ...] = ()
    sampling: Sampling = Sampling(num_rollouts=4)
    """`num_rollouts` samples per problem."""
    concurrency: PositiveInt = 64
    """Requests in flight at the endpoint."""
    bootstrap_resamples: PositiveInt = 10_000
    max_out_of_domain_drop: Rate | None = None
    """The run fails, after everything is saved, if the student's pass@1 is further below its base's on a benchmark out of
    domain; null: it only says so."""

    @model_validator(mode="after")
    def _differ(self) -> "Evaluate":
        several = [benchmark.name for benchmark in self.benchmarks if (benchmark.num_samples or 1) > 1]
        if self.sampling.temperature == 0 and several:
            raise ValueError(
                f"sampling.temperature: 0 makes all samples the same; {several[0]}: take num_samples: 1 (--samples 1)"
            )
        return self

    @property
    def in_domain(self) -> list[Benchmark]:
        return [benchmark for benchmark in self.benchmarks if benchmark.domain == "in"]
