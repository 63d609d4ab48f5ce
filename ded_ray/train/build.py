"""A student from its files to a model that can be trained: what all strategies share.

model = load_student(path, train, use_gpu=False)              # a whole copy
model = load_student(path, train, distributed_config=config)  # this worker's shards only
prepare(model, train)                                         # adapters, checkpointing, the weighted loss
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ded_ray.errors import BadInput
from ded_ray.models.weights import WeightFiles
from ded_ray.recipe import Train
from ded_ray.train.attention import attention_for
from ded_ray.train.student import give_weighted_loss

NUM_CHECKED = 3


def load_student(path: str, train: Train, **how: Any) -> Any:
    """The model in float32, which its optimiser needs. Raises BadInput when its files lack a parameter: transformers would
    train a random one."""
    try:
        model, info = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True, **settings(path, train), **how)
    except (ValueError, ImportError) as error:
        raise BadInput(f"train: {path} cannot be loaded for training: {' '.join(str(error).split())}") from error
    if missing := sorted(info["missing_keys"]):
        raise BadInput(f"train: the files of {path} lack {missing[0]} and {len(missing) - 1} more; they would be random")
    return model


def settings(path: str, train: Train) -> dict[str, Any]:
    """How the model is made: in float32, with the attention that suits, without dropout."""
    config = AutoConfig.from_pretrained(path)
    attention = train.attention or (attention_for(config, use_gpu=train.use_gpu) if train.packing else None)
    return {"config": _without_dropout(config), "dtype": torch.float32, "attn_implementation": attention}


def _without_dropout(config: Any) -> Any:
    """Our choice: a model's own dropout is off, as it is when it answers; both papers train on few and chosen answers."""
    for name, value in config.to_dict().items():
        if "drop" in name and isinstance(value, float):
            setattr(config, name, 0.0)
    return config


def prepare(model: Any, train: Train) -> None:
    """Everything that a loaded model needs before a strategy wraps it."""
    if train.lora is not None:
        from ded_ray.train.lora import add_adapter

        add_adapter(model, train.lora)
    if train.activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if train.compile:
        for module in model.modules():
            if type(module).__name__ in (model._no_split_modules or []):
                module.compile()
    give_weighted_loss(model, dft=train.dft)
    model.train()


def check_loaded(model: Any, path: str, whole: Callable[[torch.nn.Parameter], torch.Tensor]) -> None:
    """Raise BadInput unless some parameters are what the files hold; `whole` gathers one from its shards. A collective.

    Sharded loading has left parameters random before, with no more than a warning (transformers #45313, #43964).
    """
    files = WeightFiles(path)
    names = [name for name, parameter in model.named_parameters() if name in files and parameter.ndim == 2]
    for name in names[:: max(1, len(names) // NUM_CHECKED)][:NUM_CHECKED]:
        loaded = whole(model.get_parameter(name)).double().sum().item()
        wanted = files[name].double().sum().item()
        if not math.isfinite(wanted):
            raise BadInput(f"train: {name} of {path} is not finite ({wanted}); its files are damaged")
        if not abs(loaded - wanted) <= 1e-6 * max(1.0, abs(wanted)):
            raise BadInput(f"train: {name} was not loaded as the files of {path} have it (sum {loaded:g}, not {wanted:g})")
