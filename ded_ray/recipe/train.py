"""Knobs of training."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from ded_ray.recipe.config import Config, Rate


class Ddp(Config):
    kind: Literal["ddp"] = "ddp"


class DeepSpeed(Config):
    kind: Literal["deepspeed"] = "deepspeed"
    zero_stage: Literal[1, 2, 3] = 2


class Train(Config):
    SPEED = frozenset({"num_cpus", "checkpoint_every_steps", "max_failures"})

    strategy: Annotated[Ddp | DeepSpeed, Field(discriminator="kind")] = Ddp()
    """How model and optimiser are spread over the workers."""
    workers: PositiveInt = 2
    num_cpus: PositiveFloat = 1
    """CPUs and computing threads per worker."""
    use_gpu: bool = False
    epochs: PositiveInt = 10
    """DED: 10."""
    max_steps: PositiveInt | None = None
    """Stop after this many optimiser steps, whatever the epochs say."""
    batch_size: PositiveInt = 48
    """Sequences per optimiser step, over all workers. DED: 48."""
    micro_batch_size: PositiveInt = 16
    """Sequences per forward pass of one worker."""
    learning_rate: PositiveFloat = 1e-5
    """Peak of a cosine after warm-up. DED: 1e-5; scheduler and warm-up not stated."""
    warmup_fraction: Rate = 0.05
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: PositiveFloat = 1.0
    max_length: PositiveInt = 2048
    """Longest sequence in tokens, prompt included; a longer example is dropped as `over_train_max_length`, never cut."""
    checkpoint_every_steps: PositiveInt = 50
    max_failures: Annotated[int, Field(ge=0)] = 3
    """Worker failures that are answered by a restart from the last checkpoint."""
