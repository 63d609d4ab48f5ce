"""The one branch of the worker loop: how a model is wrapped. Every wrapper has the same six methods.

`backward` takes a loss that is already divided by the step's normaliser; the wrappers undo the averaging over workers.
"""

import os
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.distributed import get_world_size
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from ded_ray.recipe import DeepSpeed, Train


class Wrapped(Protocol):
    """A model on one worker, with its optimiser."""

    def logits(self, ids_BT: torch.Tensor, mask_BT: torch.Tensor, *, last: bool) -> torch.Tensor:
        """Forward; `last` says that this is the step's last micro-batch: what follows it meets the other workers."""

    def backward(self, loss: torch.Tensor) -> None:
        """Add to the gradients."""

    def step(self, learning_rate: float) -> float:
        """Clip, update, clear the gradients; returns the gradient norm before clipping."""

    def save(self, folder: Path, *, step: int) -> None:
        """Everything needed to go on, written to the worker's own folder; called by all workers."""

    def load(self, folder: Path) -> int:
        """What `save` wrote; returns the step."""

    def export(self, folder: Path) -> None:
        """The model in Hugging Face format; called by all workers, written by the first."""


def wrap(model: PreTrainedModel, train: Train, *, rank: int) -> Wrapped:
    """The model, wrapped as the recipe says."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=train.learning_rate, weight_decay=train.weight_decay)
    if isinstance(train.strategy, DeepSpeed):
        return DeepSpeedModel(model, optimizer, train, rank=rank)
    return DdpModel(model, optimizer, train, rank=rank)


class DdpModel:
    """Plain data parallelism: a whole copy of model and optimiser on every worker."""

    def __init__(self, model: PreTrainedModel, optimizer: torch.optim.Optimizer, train: Train, *, rank: int) -> None:
        self._inner, self._optimizer, self._train, self._rank = model, optimizer, train, rank
        self._model = DistributedDataParallel(model)

    def logits(self, ids_BT: torch.Tensor, mask_BT: torch.Tensor, *, last: bool) -> torch.Tensor:
        self._model.require_backward_grad_sync = last  # read by the forward pass already
        return self._model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits

    def backward(self, loss: torch.Tensor) -> None:
        (loss * get_world_size()).backward()

    def step(self, learning_rate: float) -> float:
        norm = torch.nn.utils.clip_grad_norm_(self._inner.parameters(), self._train.max_grad_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(norm)

    def save(self, folder: Path, *, step: int) -> None:
        if self._rank == 0:
            state = {"model": self._inner.state_dict(), "optimizer": self._optimizer.state_dict(), "step": step}
            torch.save(state, folder / "state.pt")

    def load(self, folder: Path) -> int:
        state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
        self._inner.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        return state["step"]

    def export(self, folder: Path) -> None:
        if self._rank == 0:
            self._inner.save_pretrained(folder)


class DeepSpeedModel:
    """ZeRO 1-3: optimiser state, gradients and parameters divided over the workers."""

    def __init__(self, model: PreTrainedModel, optimizer: torch.optim.Optimizer, train: Train, *, rank: int) -> None:
        deepspeed = _import_deepspeed(use_gpu=train.use_gpu)
        assert isinstance(train.strategy, DeepSpeed)
        config = {
            "train_micro_batch_size_per_gpu": train.micro_batch_size,
            "zero_optimization": {
                "stage": train.strategy.zero_stage,
                "stage3_gather_16bit_weights_on_model_save": True,
            },
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "gradient_clipping": train.max_grad_norm,
        }
        self._inner, self._rank = model, rank
        self._engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)

    def logits(self, ids_BT: torch.Tensor, mask_BT: torch.Tensor, *, last: bool) -> torch.Tensor:
        self._engine.set_gradient_accumulation_boundary(is_boundary=last)
        return self._engine(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits

    def backward(self, loss: torch.Tensor) -> None:
        self._engine.backward(loss * get_world_size(), scale_wrt_gas=False)

    def step(self, learning_rate: float) -> float:
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        self._engine.step()
        return float(self._engine.get_global_grad_norm() or 0.0)

    def save(self, folder: Path, *, step: int) -> None:
        self._engine.save_checkpoint(str(folder), tag="state", client_state={"step": step})

    def load(self, folder: Path) -> int:
        _, client_state = self._engine.load_checkpoint(str(folder), tag="state")
        return client_state["step"]

    def export(self, folder: Path) -> None:
        state = self._engine._zero3_consolidated_16bit_state_dict() if self._engine.zero_optimization_stage() == 3 else None
        if self._rank == 0:
            self._inner.save_pretrained(folder, state_dict=state or self._inner.state_dict())


def _import_deepspeed(*, use_gpu: bool) -> Any:
    """DeepSpeed, told not to compile for the CPU: both of its kernels take a minute to build and torch has the same."""
    if not use_gpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed

    if not use_gpu:
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if use_gpu else "gloo")
    return deepspeed
