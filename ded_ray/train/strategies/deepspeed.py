"""ZeRO 1-3: optimiser state, gradients and parameters divided over the workers."""

import os
from pathlib import Path
from typing import Any

import torch
from torch.distributed import get_world_size
from transformers import AutoModelForCausalLM

from ded_ray.recipe import DeepSpeed, Train
from ded_ray.train.batches import Batch
from ded_ray.train.loss import token_losses


class DeepSpeedStrategy:
    def __init__(self, path: str, train: Train, *, rank: int, device: torch.device) -> None:
        assert isinstance(train.strategy, DeepSpeed)
        deepspeed = _import_deepspeed(use_gpu=train.use_gpu)
        self._train, self._rank, self._device = train, rank, device
        self._model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).to(device)
        parameters = self._model.parameters()
        optimizer = torch.optim.AdamW(parameters, lr=train.learning_rate, weight_decay=train.weight_decay)
        config = _deepspeed_config(train, train.strategy)
        self._engine, *_ = deepspeed.initialize(model=self._model, optimizer=optimizer, config=config)

    def token_losses(self, batch: Batch, *, last: bool) -> torch.Tensor:
        self._engine.set_gradient_accumulation_boundary(is_boundary=last)
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._train.use_gpu):
            out = self._engine(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False)
        return token_losses(out.logits, batch.labels)

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
            self._model.save_pretrained(folder, state_dict=state or self._model.state_dict())


def _deepspeed_config(train: Train, strategy: DeepSpeed) -> dict[str, Any]:
    return {
        "train_micro_batch_size_per_gpu": train.micro_batch_size,
        "zero_optimization": {
            "stage": strategy.zero_stage,
            "stage3_gather_16bit_weights_on_model_save": True,
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "gradient_clipping": train.max_grad_norm,
    }


def _import_deepspeed(*, use_gpu: bool) -> Any:
    """DeepSpeed, told not to compile for the CPU: both of its kernels take a minute to build and torch has the same."""
    if not use_gpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed

    if not use_gpu:
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if use_gpu else "gloo")
    return deepspeed
