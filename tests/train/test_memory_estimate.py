"""The formula against torch's own count: a step on fake tensors, which have sizes and no memory, every storage counted."""

import pytest
from transformers import AutoConfig

from ded_ray.recipe import Train
from ded_ray.train.memory import memory_of
from jobs.bench.memory import counted

TOKENS = 4096
SHAPES = {
    "tall": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 60_000, "tie_word_embeddings": True},
    "wide": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 3, "num_attention_heads": 16,
             "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 30_000, "tie_word_embeddings": False},
}  # fmt: skip


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_what_torch_counts(shape, checkpointing):
    config = AutoConfig.for_model("qwen3", **SHAPES[shape])
    train = Train(workers=1, max_length=TOKENS, activation_checkpointing=checkpointing)
    assert counted(config, train, TOKENS) == pytest.approx(memory_of(config, train).total, rel=0.15)
