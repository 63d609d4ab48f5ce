"""ZeRO 1-3: optimiser state, gradients and parameters divided over the workers, by DeepSpeed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.distributed import get_world_size
from transformers import AutoModelForCausalLM
from transformers import initialization as init
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.integrations import HfDeepSpeedConfig

from ded_ray.models.weights import WeightFiles
from ded_ray.recipe import DeepSpeed, Train
from ded_ray.runtime.memory import freed_at_once
from ded_ray.train.batches import Batch
from ded_ray.train.build import check_loaded, load_student, prepare, settings
from ded_ray.train.export import export
from ded_ray.train.optimizer import make_optimizer, set_learning_rate
from ded_ray.train.student import Columns

NUM_WORKERS = "num_workers"
"""File of a checkpoint: how many workers saved it."""


class DeepSpeedStrategy:
    def __init__(self, path: str, train: Train, *, rank: int, device: torch.device) -> None:
        assert isinstance(train.strategy, DeepSpeed)
        self._deepspeed = _import_deepspeed(use_gpu=train.use_gpu)
        self._path, self._train, self._rank, self._device = path, train, rank, device
        config = _deepspeed_config(train, train.strategy)
        with freed_at_once():
            self.model = self._divided(config) if self._stage == 3 else load_student(path, train)
        check_loaded(self.model, path, self._whole)
        prepare(self.model if self._stage == 3 else self.model.to(device), train)
        optimizer = make_optimizer(self.model, train)
        self._engine, *_ = self._deepspeed.initialize(model=self.model, optimizer=optimizer, config=config)

    def loss(self, batch: Batch, *, last: bool, plain: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        self._engine.set_gradient_accumulation_boundary(is_boundary=last)
        return self._engine(batch, plain=plain)

    def logits(self, columns: Columns) -> torch.Tensor:
        return self._engine(columns)

    def backward(self, loss: torch.Tensor) -> None:
        self._engine.backward(loss * get_world_size(), scale_wrt_gas=False)

    def step(self, learning_rate: float) -> float:
        set_learning_rate(self._engine.optimizer, learning_rate)
        self._engine.step()
        return float(self._engine.get_global_grad_norm() or 0.0)

    def save(self, folder: Path, *, step: int) -> None:
        self._engine.save_checkpoint(
            str(folder), tag="state", client_state={"step": step}, exclude_frozen_parameters=self._train.lora is not None
        )
        if self._rank == 0:
            (folder / NUM_WORKERS).write_text(str(get_world_size()))

    def load(self, folder: Path) -> int:
        tag = "state"
        if int((folder / NUM_WORKERS).read_text()) != get_world_size():
            tag = self._for_any_number(folder)
            self._engine._config.load_universal_checkpoint = True
        _, client_state = self._engine.load_checkpoint(str(folder), tag=tag, load_module_strict=self._train.lora is None)
        self._engine._config.load_universal_checkpoint = False
        return client_state["step"]

    def _for_any_number(self, folder: Path) -> str:
        """Write the checkpoint anew with a file for each parameter, which any number of workers can read; its tag.

        One worker of each machine does it, because they may share the folder or not; the first to be done counts.
        """
        tag = "universal"
        if int(os.environ.get("LOCAL_RANK", "0")) == 0 and not (folder / tag).exists():
            with tempfile.TemporaryDirectory(dir=folder, prefix=f".{tag}_") as unfinished:
                command = [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", "--inject_missing_state"]
                folders = ["--input_folder", str(folder / "state"), "--output_folder", f"{unfinished}/{tag}"]
                subprocess.run([*command, *folders], check=True, stdout=subprocess.DEVNULL)
                try:
                    os.replace(f"{unfinished}/{tag}", folder / tag)
                except OSError:
                    if not (folder / tag).exists():
                        raise
        torch.distributed.barrier()
        return tag

    def export(self, folder: Path) -> None:
        state = {}
        for name, parameter in self.model.named_parameters():  # one at a time: nobody holds a second copy of the whole
            if parameter.requires_grad or self._train.lora is None:
                whole = self._whole(parameter)
                if self._rank == 0:
                    state[name] = whole.detach().cpu().clone()
        if self._rank == 0:
            export(self._path, self.model, state, train=self._train, folder=folder)

    def _divided(self, config: dict[str, Any]) -> Any:
        """The model with its parameters divided over the workers from the beginning: one at a time is ever whole.

        transformers reads all of the files first (integrations/deepspeed.py); it does so here only for models whose
        parameters have other names in their files.
        """
        how = settings(self._path, self._train)
        with init.no_init_weights(), self._deepspeed.zero.Init(config_dict_or_path=config):
            model = AutoModelForCausalLM.from_config(how.pop("config"), **how)
        model.tie_weights()
        if get_model_conversion_mapping(model, add_legacy=False):
            sharding = HfDeepSpeedConfig(config)  # what makes transformers divide a model, as long as it is alive
            model = load_student(self._path, self._train)
            del sharding
            return model
        files, prefix = WeightFiles(self._path), f"{model.base_model_prefix}."
        for name, parameter in model.named_parameters():
            with self._deepspeed.zero.GatheredParameters([parameter], modifier_rank=0):
                if self._rank == 0:
                    parameter.data.copy_(files[name if name in files else name.removeprefix(prefix)])
        return model

    @property
    def _stage(self) -> int:
        assert isinstance(self._train.strategy, DeepSpeed)
        return self._train.strategy.zero_stage

    def _whole(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        with self._deepspeed.zero.GatheredParameters([parameter], enabled=self._stage == 3):
            return parameter.data.clone()


def _deepspeed_config(train: Train, strategy: DeepSpeed) -> dict[str, Any]:
    offload = {"device": "cpu", "pin_memory": train.use_gpu}
    zero: dict[str, Any] = {"stage": strategy.zero_stage}
    if strategy.offload_optimizer:
        zero["offload_optimizer"] = offload
    if strategy.offload_parameters:
        zero["offload_param"] = offload
    return {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "gradient_clipping": train.max_grad_norm,
        # DeepSpeed switches an autocast around it off; its own keeps the optimiser's parameters in float32.
        "torch_autocast": {"enabled": train.in_bf16, "dtype": "bfloat16"},
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
