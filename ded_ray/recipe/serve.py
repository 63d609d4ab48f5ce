"""Knobs of serving a model."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from ded_ray.recipe.config import Config


class Serve(Config):
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 takes a free port."""
    replicas: PositiveInt = 1
    num_cpus: PositiveFloat = 1
    num_gpus: Annotated[float, Field(ge=0)] = 0
    max_batch_size: PositiveInt = 64
    """Completions that one replica generates at once."""
