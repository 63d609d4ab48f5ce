"""How training is spread over workers: DDP, FSDP2 or DeepSpeed behind one interface, so that the loop has no branches.

A strategy builds its model and its optimiser from a path, because sharding has to come before both.
"""

from pathlib import Path
from typing import Any, Protocol

import torch

from ded_ray.recipe import DeepSpeed, Fsdp2, Train
from ded_ray.train.batches import Batch
from ded_ray.train.student import Columns


class Strategy(Protocol):
    """A student on one worker, with its optimiser. Every method is called by all workers alike."""

    model: Any
    """The student, or this worker's shards of it, as `give_weighted_loss` left it."""

    def loss(self, batch: Batch, *, last: bool, plain: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Forward: (the sum of weight x token loss, the losses B x T without gradient).

        `last`: no micro-batch of this step follows, so gradients are to meet those of the other workers.
        `plain`: from the model's own logits, all of them; slow, for a check.
        """

    def logits(self, columns: Columns) -> torch.Tensor:
        """Forward, inside `answering(self.model)`: the logits of the last column, B x V."""

    def backward(self, loss: torch.Tensor) -> None:
        """Add to the gradients; they are summed over workers, not averaged."""

    def step(self, learning_rate: float) -> float:
        """Clip, update, clear the gradients; returns the gradient norm over all workers before clipping."""

    def save(self, folder: Path, *, step: int) -> None:
        """Write everything that is needed to go on to the worker's own folder."""

    def load(self, folder: Path) -> int:
        """Read what `save` wrote, with any number of workers; returns the step."""

    def export(self, folder: Path) -> None:
        """Write the model in Hugging Face format, on the first worker."""


def make_strategy(path: str, train: Train, *, rank: int, device: torch.device) -> Strategy:
    """The model at `path`, built as the recipe says. Raises BadInput for one that cannot be."""
    if isinstance(train.strategy, DeepSpeed):
        from ded_ray.train.strategies.deepspeed import DeepSpeedStrategy

        return DeepSpeedStrategy(path, train, rank=rank, device=device)
    if isinstance(train.strategy, Fsdp2):
        from ded_ray.train.strategies.fsdp2 import Fsdp2Strategy

        return Fsdp2Strategy(path, train, rank=rank, device=device)
    from ded_ray.train.strategies.ddp import DdpStrategy

    return DdpStrategy(path, train, rank=rank, device=device)
