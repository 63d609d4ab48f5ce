"""A model's size, from its configuration alone: `Shape.of(AutoConfig.from_pretrained(model_path(name)))`."""

from dataclasses import dataclass
from typing import Any

from ded_ray.models.load import model_path
from ded_ray.train.memory import parameters_of

QUANTIZED_BYTES = {"fp8": 1.0, "fbgemm_fp8": 1.0, "compressed-tensors": 1.0, "awq": 0.56, "gptq": 0.56, "bitsandbytes": 0.56,
                   "mxfp4": 0.56}  # fmt: skip
"""Bytes of a parameter by method: of 4 bits each with a scale for every 32 to 128 of them."""


@dataclass(frozen=True)
class Shape:
    config: Any  # of transformers
    parameters: int
    weight_bytes: float  # of one parameter, as the checkpoint has it
    layers: int
    heads: int
    kv_heads: int
    kv_elements: int  # keys and values of a token, all layers together
    attention_width: int  # heads x their size
    context: int | None  # tokens; None where the configuration does not say

    @classmethod
    def of(cls, config: Any) -> "Shape":
        text = config.get_text_config()
        heads = text.num_attention_heads
        head_size = getattr(text, "head_dim", None) or text.hidden_size // heads
        kv_heads = getattr(text, "num_key_value_heads", None) or heads
        kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
        attending = sum(kind != "linear_attention" for kind in kinds)
        latent = getattr(text, "kv_lora_rank", None)  # DeepSeek's latent attention keeps one vector instead
        of_a_layer = latent + text.qk_rope_head_dim if latent else 2 * kv_heads * head_size
        return cls(
            config=config,
            parameters=parameters_of(config)[0],
            weight_bytes=_weight_bytes(config),
            layers=text.num_hidden_layers,
            heads=heads,
            kv_heads=1 if latent else kv_heads,
            kv_elements=attending * of_a_layer,
            attention_width=heads * head_size,
            context=getattr(text, "max_position_embeddings", None),
        )


def _weight_bytes(config: Any) -> float:
    quantized = getattr(config, "quantization_config", None) or {}
    method = quantized.get("quant_method") if isinstance(quantized, dict) else getattr(quantized, "quant_method", None)
    if method is not None:
        return QUANTIZED_BYTES.get(str(method), 1.0)
    itemsize: int = getattr(getattr(config, "dtype", None), "itemsize", 2)
    return float(itemsize)


def shape_of(model: str) -> Shape | None:
    """Of a model by its name; None where its configuration cannot be had, or is none of a language model."""
    from transformers import AutoConfig

    try:
        return Shape.of(AutoConfig.from_pretrained(model_path(model)))
    except (OSError, ValueError, AttributeError):
        return None
