"""What a training holds in the memory of one GPU, by a formula, before anything is started.

    memory = memory_of(AutoConfig.from_pretrained("Qwen/Qwen3-0.6B"), recipe.train)
    memory.total / 2**30                       # GiB

With P parameters, of which Q are trained (all, or the adapter's), N workers, rows of T tokens, L layers of width D with A
attention and M feed-forward numbers a token, and a vocabulary of V:

    parameters   4 P, and of shards 2 P of the layer at work and of the embedding, gathered
    gradients    4 Q
    optimiser    8 Q
    activations  c T (6 D + 6 A + 4 M) of every layer; with checkpointing of one, and c T D of the others
    head         4 bytes of each logit of a chunk, 4 V D for its gradient, c T D for the hidden states and theirs; with
                 checkpointing of the chunk only what exceeds the one layer, as they are never there together

c is 2 in bf16 and 4 in float32; what a strategy divides is divided by N. Flash attention keeps no matrix of scores.
"""

import math
from dataclasses import dataclass
from typing import Any

from ded_ray.recipe import DeepSpeed, Fsdp2, Train


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU."""

    parameters: float
    gradients: float
    optimizer: float
    activations: float
    head: float

    @property
    def total(self) -> float:
        return self.parameters + self.gradients + self.optimizer + self.activations + self.head


def memory_of(config: Any, train: Train) -> Memory:
    """Of a student with this transformers configuration, when it is trained so."""
    from ded_ray.train.head import CHUNK_ELEMENTS  # and with it torch, which takes a second

    text, width = config.get_text_config(), 2 if train.in_bf16 else 4
    total, embedding, layer = parameters_of(config)
    trained = _adapter_parameters(text, train) if train.lora is not None else total
    parameters_by, gradients_by, optimizer_by = _divisors(train)
    gathered = width * (2 * layer + embedding) if parameters_by > 1 else 0
    hidden, tokens = text.hidden_size, train.tokens_per_row
    head_size = getattr(text, "head_dim", None) or hidden // text.num_attention_heads
    key_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    attention = head_size * (text.num_attention_heads + key_heads)
    feed_forward = getattr(text, "intermediate_size", None) or 4 * hidden
    of_a_layer = width * tokens * (6 * hidden + 6 * attention + 4 * feed_forward)
    layers = text.num_hidden_layers
    activations = (
        of_a_layer + (layers - 1) * width * tokens * hidden if train.activation_checkpointing else layers * of_a_layer
    )
    chunk = min(CHUNK_ELEMENTS, tokens * text.vocab_size)
    trains_head = train.lora is None
    logits = max(0, 4 * chunk - of_a_layer) if train.activation_checkpointing else 4 * chunk
    head = logits + (4 * text.vocab_size * hidden if trains_head else 0) + 3 * width * tokens * hidden
    on_gpu = not (isinstance(train.strategy, Fsdp2) and train.strategy.cpu_offload)
    keeps_optimizer = on_gpu and not (isinstance(train.strategy, DeepSpeed) and train.strategy.offload_optimizer)
    keeps_parameters = on_gpu and not (isinstance(train.strategy, DeepSpeed) and train.strategy.offload_parameters)
    return Memory(
        parameters=(4 * total / parameters_by if keeps_parameters else 0) + gathered,
        gradients=4 * trained / gradients_by if on_gpu else 0,
        optimizer=8 * trained / optimizer_by if keeps_optimizer else 0,
        activations=activations,
        head=head,
    )


def _divisors(train: Train) -> tuple[int, int, int]:
    """By what parameters, gradients and optimiser state are divided."""
    match train.strategy:
        case Fsdp2():
            return (train.workers,) * 3
        case DeepSpeed(zero_stage=stage):
            return (train.workers if stage >= 3 else 1, train.workers if stage >= 2 else 1, train.workers)
    return (1, 1, 1)


def parameters_of(config: Any) -> tuple[int, int, int]:
    """(all parameters, those of the embedding, those of one layer), counted on the model itself, without its weights."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    total = sum(parameter.numel() for parameter in model.parameters())
    embedding = math.prod(model.get_input_embeddings().weight.shape)
    heads = embedding if config.get_text_config().tie_word_embeddings else 2 * embedding
    return total, embedding, (total - heads) // config.get_text_config().num_hidden_layers


def _adapter_parameters(text: Any, train: Train) -> int:
    """Of LoRA on all linear layers, about: rank x (inputs + outputs) of seven matrices a layer."""
    assert train.lora is not None
    hidden, feed_forward = text.hidden_size, getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    return train.lora.rank * text.num_hidden_layers * (8 * hidden + 3 * (hidden + feed_forward))
