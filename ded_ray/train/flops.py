"""Model FLOPs utilisation (MFU): the share of the GPUs' arithmetic that a training spends on what its model needs.

    meter = Meter.of(config, train, "NVIDIA H100 80GB HBM3")      # None where it cannot be known
    meter.mfu(lengths, seconds=1.7, num_gpus=8)

As PaLM defines it (arXiv 2204.02311, appendix B): a token of a sequence of T takes

    6 N + 12 L A T

operations, N being the parameters that are multiplied (all but an input embedding of its own), L the layers with full
attention, A the width of their queries, heads x head size. What activation checkpointing computes again does not count,
padding does not, nor does it count that causal attention needs only half of its matrix. With an adapter it is 4 N: the
gradients of what is frozen are not made.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ded_ray.recipe import Train
from ded_ray.train.memory import parameters_of

PEAKS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("B200",), 2250e12), (("GB200",), 2500e12), (("H200",), 989e12), (("GH200",), 989e12), (("H100", "PCIe"), 756e12),
    (("H100", "NVL"), 835e12), (("H100",), 989e12), (("A100",), 312e12), (("A800",), 312e12), (("A40",), 149.7e12),
    (("A30",), 165e12), (("A10",), 125e12), (("A10G",), 70e12), (("L40S",), 362e12), (("L40",), 181e12), (("L4",), 121e12),
    (("A6000",), 154.8e12), (("4090",), 165.2e12), (("3090",), 71e12),
)  # fmt: skip
"""bf16 operations a second with sums in float32, without sparsity, by the words of a card's name; the first that fits.
From NVIDIA's data sheets, which often print the double, with sparsity."""


def peak_of(name: str) -> float | None:
    """Operations a second of a card by its name, as torch.cuda.get_device_name has it; None for one that is not listed, or
    is only a slice of one (MIG)."""
    words = set(name.replace("-", " ").split())
    if "MIG" in words:
        return None
    return next((peak for wanted, peak in PEAKS if words.issuperset(wanted)), None)


@dataclass(frozen=True)
class Meter:
    """What one model takes, and what one GPU can."""

    flops_per_token: float  # 6 N
    flops_per_pair: float  # 12 L A
    peak: float  # operations a second

    @classmethod
    def of(cls, config: Any, train: Train, card: str) -> "Meter | None":
        """Of a transformers configuration. None for a card that is not known, for float32, which has another peak, and for
        a mixture of experts, whose parameters are not all at work."""
        text, peak = config.get_text_config(), peak_of(card)
        experts = ("num_experts", "num_local_experts", "n_routed_experts")
        if peak is None or not train.in_bf16 or any((getattr(text, name, None) or 1) > 1 for name in experts):
            return None
        total, embedding, _ = parameters_of(config)
        multiplied = total if text.tie_word_embeddings else total - embedding
        kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
        width = (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads) * text.num_attention_heads
        return cls((4 if train.lora else 6) * multiplied, 12 * kinds.count("full_attention") * width, peak)

    def mfu(self, lengths: Iterable[int], *, seconds: float, num_gpus: int) -> float:
        """Of a step over sequences of these lengths in tokens, each of which sees itself alone: 0 to 1."""
        flops = sum(length * (self.flops_per_token + self.flops_per_pair * length) for length in map(int, lengths))
        return flops / (seconds * num_gpus * self.peak)
