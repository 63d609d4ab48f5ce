import pytest
from transformers import AutoConfig

from ded_ray.recipe import Lora, Train
from ded_ray.train.flops import Meter, peak_of

BF16 = Train(precision="bf16")


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA A10G", 70),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA B200", 2250),
        ("NVIDIA GeForce RTX 4090", 165.2),
    ],
)
def test_a_card_is_known_by_its_name(name, tera):
    assert peak_of(name) == pytest.approx(tera * 1e12)


def test_what_is_not_known_has_no_number():
    config = AutoConfig.for_model("qwen3", num_hidden_layers=1, vocab_size=100)
    assert peak_of("Some Accelerator 9") is None
    assert peak_of("NVIDIA A100-SXM4-80GB MIG 1g.10gb") is None
    assert Meter.of(config, BF16, "Some Accelerator 9") is None
    assert Meter.of(config, Train(precision="float32"), "NVIDIA H200") is None
    experts = AutoConfig.for_model("qwen3_moe", num_hidden_layers=1, vocab_size=100)
    assert Meter.of(experts, BF16, "NVIDIA H200") is None


def test_it_is_the_arithmetic_over_what_there_is():
    """One layer by hand: q, k, v, o, three matrices of the feed-forward part, the head, and three norms."""
    shape = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 4, "vocab_size": 100}  # fmt: skip
    multiplied = 8 * (16 + 8 + 8 + 16) + 3 * 8 * 16 + 100 * 8
    norms = 8 + 8 + 8 + 4 + 4
    for tied in (True, False):
        config = AutoConfig.for_model("qwen3", tie_word_embeddings=tied, **shape)
        meter = Meter.of(config, BF16, "NVIDIA H100 80GB HBM3")
        assert meter.flops_per_token == 6 * (multiplied + norms)
        flops = 6 * (multiplied + norms) * 30 + 12 * 16 * (10**2 + 20**2)
        assert meter.mfu([10, 20], seconds=0.5, num_gpus=2) == pytest.approx(flops / (0.5 * 2 * 989e12))
        adapter = Meter.of(config, BF16.model_copy(update={"lora": Lora()}), "NVIDIA H100 80GB HBM3")
        assert adapter.flops_per_token == 4 * (multiplied + norms)
