"""FSDP2: parameters, gradients and optimiser state sharded over the workers, by torch's `fully_shard`.

transformers shards the model before it reads the files, so that each worker reads its own shards only. Checkpoints are
torch's distributed ones, which another number of workers can read too.
"""

from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed import all_reduce, get_world_size
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers.distributed import DistributedConfig

from ded_ray.recipe import Fsdp2, Train
from ded_ray.train.batches import Batch
from ded_ray.train.build import check_loaded, load_student, prepare
from ded_ray.train.export import export
from ded_ray.train.optimizer import make_optimizer, set_learning_rate
from ded_ray.train.student import Columns


class Fsdp2Strategy:
    def __init__(self, path: str, train: Train, *, rank: int, device: torch.device) -> None:
        assert isinstance(train.strategy, Fsdp2)
        self._path, self._train, self._rank, self._device = path, train, rank, device
        self.model = _sharded(path, train, train.strategy)
        check_loaded(self.model, path, lambda parameter: _whole(parameter.data))
        prepare(self.model, train)
        # An adapter comes after the sharding: it is small, and whole on every worker.
        self._whole_parameters = [p for p in self.model.parameters() if p.requires_grad and not isinstance(p, DTensor)]
        for parameter in self._whole_parameters:
            parameter.data = parameter.data.to(device)
            torch.distributed.broadcast(parameter.data, src=0)
        self._optimizer = make_optimizer(self.model, train)

    def loss(self, batch: Batch, *, last: bool, plain: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        self.model.set_requires_gradient_sync(last)
        self.model.set_is_last_backward(last)
        return self.model(batch, plain=plain)

    def logits(self, columns: Columns) -> torch.Tensor:
        return self.model(columns)

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward(torch.full_like(loss, get_world_size()))

    def step(self, learning_rate: float) -> float:
        for parameter in self._whole_parameters:
            if parameter.grad is not None:
                all_reduce(parameter.grad)
                parameter.grad /= get_world_size()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._train.max_grad_norm)
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(_whole(norm))

    def save(self, folder: Path, *, step: int) -> None:
        save({**self._state(), "step": torch.tensor(step)}, folder)

    def load(self, folder: Path) -> int:
        state = {**self._state(), "step": torch.tensor(0)}
        dcp.load(state, checkpoint_id=folder)
        set_model_state_dict(self.model, state["model"], options=StateDictOptions(strict=self._train.lora is None))
        set_optimizer_state_dict(self.model, self._optimizer, state["optimizer"])
        return int(state["step"])

    def export(self, folder: Path) -> None:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=self._train.lora is not None)
        state: Any = get_model_state_dict(self.model, options=options)
        if self._rank == 0:
            export(self._path, self.model, state, train=self._train, folder=folder)

    def _state(self) -> dict[str, Any]:
        options = StateDictOptions(ignore_frozen_params=self._train.lora is not None)
        return {
            "model": get_model_state_dict(self.model, options=options),
            "optimizer": get_optimizer_state_dict(self.model, self._optimizer),
        }


def save(state: dict[str, Any], folder: Path) -> None:
    """A distributed checkpoint; raises on all workers what went wrong on one."""
    try:
        dcp.save(state, checkpoint_id=folder)
    except dcp.api.CheckpointException as error:  # which is no Exception by its type
        raise next(iter(error.failures.values()))[0] from None


def _sharded(path: str, train: Train, strategy: Fsdp2) -> Any:
    """The model's shards of this worker, read from its files; nothing else of it is ever in memory."""
    if get_world_size() > 1:
        config = DistributedConfig(
            fsdp_size=get_world_size(), fsdp_cpu_offload=strategy.cpu_offload, fsdp_mixed_precision=train.in_bf16
        )
        return load_student(path, train, distributed_config=config)
    in_bf16 = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    return fully_shard(
        load_student(path, train),
        mp_policy=in_bf16 if train.in_bf16 else MixedPrecisionPolicy(),
        offload_policy=CPUOffloadPolicy() if strategy.cpu_offload else OffloadPolicy(),
    )


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
