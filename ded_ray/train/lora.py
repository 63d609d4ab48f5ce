"""LoRA (arXiv 2106.09685) through PEFT: the adapter is trained, the model itself stays as its files have it."""

from pathlib import Path
from typing import Any

import torch

from ded_ray.errors import BadInput
from ded_ray.recipe import Lora


def add_adapter(model: Any, config: Lora) -> None:
    """Put an adapter into a loaded model, in place; only the adapter is trained. Raises BadInput for unknown targets."""
    from peft import LoraConfig

    try:
        model.add_adapter(
            LoraConfig(
                task_type="CAUSAL_LM", r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout,
                target_modules=config.targets if isinstance(config.targets, str) else list(config.targets),
            )
        )  # fmt: skip
    except ValueError as error:
        raise BadInput(f"train.lora.targets: {' '.join(str(error).split())}") from error
    if any("lora_" in name for name, _ in model.get_output_embeddings().named_parameters()):
        raise BadInput("train.lora.targets: the output head cannot have an adapter, its loss is fused; leave it out")


def save_adapter(model: Any, state: dict[str, torch.Tensor], path: str, folder: Path) -> None:
    """Write an adapter in PEFT's format. `state` holds the adapter's whole tensors by the model's names."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = next(iter(model.peft_config.values()))
    config.base_model_name_or_path = path
    config.inference_mode = True
    config.save_pretrained(folder)
    renamed = {f"base_model.model.{name.replace('.default.', '.')}": tensor.contiguous() for name, tensor in state.items()}
    save_file(renamed, folder / "adapter_model.safetensors")


def merged(path: str, adapter: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The state of the model at `path` with an adapter folded in: W + alpha / rank x B A, computed in float32."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    whole = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return {name: tensor.to(dtype) for name, tensor in whole.state_dict().items()}
