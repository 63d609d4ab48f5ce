"""Attention over a packed row on a CPU: every sequence by itself.

torch's own attention would build a T x T mask and compute all of it; of 50 sequences in a row it needs a fiftieth.
On a GPU flash attention has this built in (or flex attention, where flash attention is not installed).
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.utils import is_flash_attn_2_available

SEGMENTS = "segments"


def attention_for(config: Any, *, use_gpu: bool) -> str:
    """The name of the attention that suits packed rows best, as `from_pretrained` takes it."""
    if use_gpu:
        return "flash_attention_2" if is_flash_attn_2_available() else "flex_attention"
    text = config.get_text_config()
    plain = not getattr(text, "attn_logit_softcapping", None) and "gpt_oss" not in text.model_type
    return SEGMENTS if plain else "sdpa"


def _segmented_attention(
    module: torch.nn.Module,  # noqa: ARG001
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    position_ids: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """query is 1 x heads x T x D, key and value 1 x key heads x T x D; the output is 1 x T x heads x D.

    A sequence begins wherever `position_ids` (1 x T) are 0.
    """
    if query.shape[0] != 1 or position_ids is None:
        raise ValueError("segments: the attention takes one packed row with its positions")
    starts = (position_ids[0] == 0).nonzero().squeeze(1).tolist()
    pieces = []
    for start, end in zip(starts, [*starts[1:], query.shape[2]], strict=True):
        length, part = end - start, (slice(None), slice(None), slice(start, end))
        mask = _window(length, sliding_window, query.device) if sliding_window and length > sliding_window else None
        pieces.append(
            scaled_dot_product_attention(
                query[part], key[part], value[part], attn_mask=mask, is_causal=mask is None,
                dropout_p=dropout, scale=scaling, enable_gqa=query.shape[1] != key.shape[1],
            )
        )  # fmt: skip
    return torch.cat(pieces, dim=2).transpose(1, 2), None


def _window(length: int, size: int, device: torch.device) -> torch.Tensor:
    """Who sees whom, length x length: the last `size` tokens, oneself included."""
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
    return (distance >= 0) & (distance < size)


def _no_mask(*_: Any, **__: Any) -> None:
    return None


AttentionInterface.register(SEGMENTS, _segmented_attention)
AttentionMaskInterface.register(SEGMENTS, _no_mask)
