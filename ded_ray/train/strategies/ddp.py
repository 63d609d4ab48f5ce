"""Plain data parallelism: a whole copy of model and optimiser on every worker."""

from pathlib import Path

import torch
from torch.distributed import get_world_size
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForCausalLM

from ded_ray.recipe import Train
from ded_ray.train.batches import Batch
from ded_ray.train.loss import token_losses


class DdpStrategy:
    def __init__(self, path: str, train: Train, *, rank: int, device: torch.device) -> None:
        self._train, self._rank, self._device = train, rank, device
        self._model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).to(device)
        parameters = self._model.parameters()
        self._optimizer = torch.optim.AdamW(parameters, lr=train.learning_rate, weight_decay=train.weight_decay)
        self._parallel = DistributedDataParallel(self._model)

    def token_losses(self, batch: Batch, *, last: bool) -> torch.Tensor:
        self._parallel.require_backward_grad_sync = last  # read by the forward pass already
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._train.use_gpu):
            out = self._parallel(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False)
        return token_losses(out.logits, batch.labels)

    def backward(self, loss: torch.Tensor) -> None:
        (loss * get_world_size()).backward()

    def step(self, learning_rate: float) -> float:
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._train.max_grad_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(norm)

    def save(self, folder: Path, *, step: int) -> None:
        if self._rank == 0:
            state = {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict(), "step": step}
            torch.save(state, folder / "state.pt")

    def load(self, folder: Path) -> int:
        state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        return state["step"]

    def export(self, folder: Path) -> None:
        if self._rank == 0:
            self._model.save_pretrained(folder)
