"""Knobs of serving and measuring a model."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from ded_ray.knobs import Knobs
from ded_ray.recipe.generate import Sampling
from ded_ray.recipe.problems import Problems


class Serve(Knobs):
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 takes a free port."""
    replicas: PositiveInt = 1
    num_cpus: PositiveFloat = 1
    num_gpus: Annotated[float, Field(ge=0)] = 0
    max_batch_size: PositiveInt = 64
    """Completions that one replica generates at once."""


class Benchmark(Knobs):
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    """Also the name of its file: letters, digits, '.', '_' and '-'."""
    domain: Literal["in", "out"]
    """in-domain: what is distilled; out-of-domain: what should not be forgotten."""
    problems: Problems


class Evaluate(Knobs):
    SPEED = frozenset({"concurrency"})

    benchmarks: tuple[Benchmark, ...] = ()
    sampling: Sampling = Sampling(num_rollouts=4)
    """`num_rollouts` samples per problem."""
    concurrency: PositiveInt = 64
    """Requests in flight at the endpoint."""
    bootstrap_resamples: PositiveInt = 10_000

    @property
    def in_domain(self) -> list[Benchmark]:
        return [benchmark for benchmark in self.benchmarks if benchmark.domain == "in"]
