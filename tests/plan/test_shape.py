"""Sizes of published models from their configurations, against what their cards say."""

import pytest
from shapes import qwen3
from transformers import AutoConfig

from ded_ray.plan.shape import Shape, shape_of


@pytest.mark.parametrize(
    ("size", "billions", "kib_per_token"),
    [("0.6B", 0.596, 112), ("8B", 8.19, 144), ("32B", 32.76, 256)],  # their cards; 2 x layers x 8 heads x 128 x 2 bytes
)
def test_qwen3(size, billions, kib_per_token):
    shape = qwen3(size)
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=0.002)
    assert shape.kv_elements * 2 / 1024 == kib_per_token
    assert shape.weight_bytes == 2
    assert shape.context == 40_960


def test_quantised_checkpoints_say_so():
    config = AutoConfig.for_model("qwen3", num_hidden_layers=1, quantization_config={"quant_method": "fp8"})
    assert Shape.of(config).weight_bytes == 1


def test_layers_that_keep_no_keys_count_for_none():
    kinds = ["linear_attention", "full_attention"] * 2
    config = AutoConfig.for_model("qwen3", num_hidden_layers=4, num_key_value_heads=2, head_dim=8, vocab_size=100)
    assert Shape.of(config).kv_elements == 4 * 2 * 2 * 8
    config.layer_types = kinds
    assert Shape.of(config).kv_elements == 2 * 2 * 2 * 8


def test_a_model_that_is_not_here(tmp_path):
    assert shape_of(str(tmp_path / "nowhere")) is None
    assert shape_of("tiny/student").parameters < 1e6
