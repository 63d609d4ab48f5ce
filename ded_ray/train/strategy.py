"""How training is spread over workers: DDP or DeepSpeed behind one interface, so that the training loop has no branches.

A strategy builds its model and its optimiser from a path, because sharding has to come before the optimiser.
"""

from pathlib import Path
from typing import Protocol

import torch

from ded_ray.recipe import DeepSpeed, Train
from ded_ray.train.batches import Batch


class Strategy(Protocol):
    """A model on one worker, with its optimiser. The loss is already divided by the step's normaliser."""

    def token_losses(self, batch: Batch, *, last: bool) -> torch.Tensor:
        """Forward: the loss of every token, B x T. `last`: no micro-batch of this step follows, so gradients are to meet
        those of the other workers."""

    def backward(self, loss: torch.Tensor) -> None:
        """Add to the gradients; they are summed over workers, not averaged."""

    def step(self, learning_rate: float) -> float:
        """Clip, update, clear the gradients; returns the gradient norm before clipping."""

    def save(self, folder: Path, *, step: int) -> None:
        """Write everything that is needed to go on to the worker's own folder; called by all workers."""

    def load(self, folder: Path) -> int:
        """Read what `save` wrote; returns the step."""

    def export(self, folder: Path) -> None:
        """Write the model in Hugging Face format; called by all workers, written by the first."""


def make_strategy(path: str, train: Train, *, rank: int, device: torch.device) -> Strategy:
    """The model at `path`, built as the recipe says."""
    if isinstance(train.strategy, DeepSpeed):
        from ded_ray.train.strategies.deepspeed import DeepSpeedStrategy

        return DeepSpeedStrategy(path, train, rank=rank, device=device)
    from ded_ray.train.strategies.ddp import DdpStrategy

    return DdpStrategy(path, train, rank=rank, device=device)
