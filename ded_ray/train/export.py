"""A trained student in Hugging Face format: safetensors in the recipe's type, with the generation settings it came with.

    export(path, model, state, train=train, folder=folder)
    write_generation_config(path, folder, chat.end_id)

The tokenizer and its template are saved by `models/chat.py`.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.utils import cached_file

from ded_ray.recipe import Train
from ded_ray.train.lora import merged, save_adapter

GENERATION_CONFIG = "generation_config.json"


def export(path: str, model: Any, state: dict[str, torch.Tensor], *, train: Train, folder: Path) -> None:
    """Write the model of `path` with the trained `state`, whole tensors on the CPU, to a folder.

    With LoRA the state holds the adapter alone; it is folded into the model, or written beside a pointer to it.
    """
    config = AutoConfig.from_pretrained(path)
    dtype = torch_dtype(path, train)
    if train.lora is not None:
        adapter = folder if train.lora.export == "adapter" else folder.with_name("adapter")
        save_adapter(model, state, path, adapter)
        if train.lora.export == "adapter":
            return
        state = merged(path, adapter, dtype)
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config, dtype=dtype)
    skeleton._weight_conversions = getattr(model, "_weight_conversions", None)
    skeleton.generation_config = GenerationConfig()  # the student's own may be loaded, but not saved: see below
    skeleton.save_pretrained(folder, state_dict={name: tensor.to(dtype) for name, tensor in state.items()})


def write_generation_config(path: str, folder: Path, end_id: int) -> None:
    """The student's own generation settings, with the token that it has learnt to end with among its end tokens."""
    settings = _own_settings(path) | {"eos_token_id": end_tokens(path, end_id)}
    (folder / GENERATION_CONFIG).write_text(json.dumps(settings, indent=2) + "\n")


def end_tokens(path: str, end_id: int) -> list[int]:
    """The tokens that end an answer of the trained student: its own, and the one that it has learnt to end with."""
    ends = _own_settings(path).get("eos_token_id", AutoConfig.from_pretrained(path).get_text_config().eos_token_id)
    ends = ends if isinstance(ends, list) else [end for end in [ends] if end is not None]
    return ends if end_id in ends else [*ends, end_id]


def _own_settings(path: str) -> dict[str, Any]:
    own = cached_file(path, GENERATION_CONFIG, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(own).read_text()) if own is not None else {}


def torch_dtype(path: str, train: Train) -> torch.dtype:
    """The type of the exported weights: the recipe's, else the student's own."""
    if train.export_dtype is not None:
        return torch.float32 if train.export_dtype == "float32" else torch.bfloat16
    config = AutoConfig.from_pretrained(path)
    return config.get_text_config().dtype or config.dtype or torch.float32
