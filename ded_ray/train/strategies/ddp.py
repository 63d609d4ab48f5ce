"""Plain data parallelism: a whole copy of model and optimiser on every worker."""

from pathlib import Path
from typing import Any

import torch
from torch.distributed import get_world_size
from torch.nn.parallel import DistributedDataParallel

from ded_ray.recipe import Train
from ded_ray.train.batches import Batch
from ded_ray.train.build import check_loaded, load_student, prepare
from ded_ray.train.export import export
from ded_ray.train.optimizer import make_optimizer, set_learning_rate
from ded_ray.train.student import Columns


class DdpStrategy:
    def __init__(self, path: str, train: Train, *, rank: int, device: torch.device) -> None:
        self._path, self._train, self._rank, self._device = path, train, rank, device
        self.model = load_student(path, train)
        check_loaded(self.model, path, lambda parameter: parameter.data)
        prepare(self.model.to(device), train)
        self._optimizer = make_optimizer(self.model, train)
        self._parallel = DistributedDataParallel(self.model, gradient_as_bucket_view=True)

    def loss(self, batch: Batch, *, last: bool, plain: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        self._parallel.require_backward_grad_sync = last  # read by the forward pass already
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._train.in_bf16):
            return self._parallel(batch, plain=plain)

    def logits(self, columns: Columns) -> torch.Tensor:
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._train.in_bf16):
            return self.model(columns)

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward(torch.full_like(loss, get_world_size()))

    def step(self, learning_rate: float) -> float:
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._train.max_grad_norm)
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(norm)

    def save(self, folder: Path, *, step: int) -> None:
        if self._rank == 0:
            state = {"model": self._trained(), "optimizer": self._optimizer.state_dict(), "step": step}
            torch.save(state, folder / "state.pt")

    def load(self, folder: Path) -> int:
        state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"], strict=self._train.lora is None)
        self._optimizer.load_state_dict(state["optimizer"])
        return state["step"]

    def export(self, folder: Path) -> None:
        if self._rank == 0:
            state = {name: tensor.cpu() for name, tensor in self._trained().items()}
            export(self._path, self.model, state, train=self._train, folder=folder)

    def _trained(self) -> dict[str, Any]:
        """The state of the model; with LoRA of the adapter alone."""
        state = self.model.state_dict()
        if self._train.lora is None:
            return state
        return {name: state[name] for name, parameter in self.model.named_parameters() if parameter.requires_grad}
