"""Published configurations, written down: no weights and no network."""

from transformers import AutoConfig

from ded_ray.plan.shape import Shape

QWEN3 = {
    "0.6B": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
             "tie_word_embeddings": True},
    "8B": {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32,
           "tie_word_embeddings": False},
    "32B": {"hidden_size": 5120, "intermediate_size": 25600, "num_hidden_layers": 64, "num_attention_heads": 64,
            "tie_word_embeddings": False},
}  # fmt: skip


def qwen3_config(size: str, **more):
    shape = {"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936, "max_position_embeddings": 40_960,
             "dtype": "bfloat16"}  # fmt: skip
    return AutoConfig.for_model("qwen3", **shape, **QWEN3[size], **more)


def qwen3(size: str) -> Shape:
    return Shape.of(qwen3_config(size))
