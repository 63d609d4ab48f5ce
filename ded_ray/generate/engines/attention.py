"""Attention of many rows on a CPU, where several query heads share keys and values.

transformers copies keys and values for every query head wherever there is a mask, at every step. torch's CPU kernel needs
no copies: eleven times as fast for 64 rows of 570 tokens (6 heads on 2).
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

GROUPED = "grouped"


def use_grouped_attention(model: Any) -> None:
    """Have a model on the CPU compute its attention so, if it computes it by torch's kernels now."""
    if model.device.type == "cpu" and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(GROUPED)


def _grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    position_bias: torch.Tensor | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """query is B x heads x T x D, key and value B x key heads x C x D; the output is B x T x heads x D."""
    if attention_mask is None or position_bias is not None or query.shape[1] == key.shape[1]:
        more |= {"scaling": scaling, "position_bias": position_bias}
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
        return output
    attended = scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=True)
    return attended.transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED, _grouped_attention)
AttentionMaskInterface.register(GROUPED, sdpa_mask)
