"""What fits into an 80 GB GPU, by hand, and the first change by which it does."""

import pytest
from shapes import qwen3

from ded_ray.plan.fit import GIB, WORKSPACE, fit_of_embedded, fit_of_engine, fit_of_training
from ded_ray.recipe import DeepSpeed, Fsdp2, Train, VllmEngine
from ded_ray.recipe.load import load_recipe

MEMORY = 79 * GIB


def test_an_engine_by_hand():
    fit = fit_of_engine("teacher.engine", qwen3("8B"), VllmEngine(max_model_len=20_480), MEMORY, needed=20_480)
    assert fit.parts["weights"] == pytest.approx(8.19e9 * 2, rel=0.001)
    assert fit.parts["KV cache of one completion"] == 2 * 36 * 8 * 128 * 2 * 20_480
    room = 0.9 * MEMORY - fit.parts["weights"] - WORKSPACE
    assert f"room for {int(room / (144 * 1024 * 20_480))} completions" in fit.note
    assert fit.fits
    assert fit.remedy == ""
    halved = fit_of_engine("t", qwen3("8B"), VllmEngine(max_model_len=20_480, tensor_parallel=2), MEMORY, needed=20_480)
    assert halved.parts["weights"] == fit.parts["weights"] / 2
    many = fit_of_engine("t", qwen3("8B"), VllmEngine(max_model_len=20_480, tensor_parallel=16), MEMORY, needed=20_480)
    assert many.parts["KV cache of one completion"] == fit.parts["KV cache of one completion"] / 8, "8 heads, each whole"


@pytest.mark.parametrize(
    ("size", "memory_gib", "needed", "remedy"),
    [
        ("32B", 79, 16_384, "--set teacher.engine.max_model_len=16384"),  # 61 GiB and 10 of the whole context
        ("32B", 79, 40_960, "--set teacher.engine.tensor_parallel=2"),
        ("32B", 40, 16_384, "--set teacher.engine.tensor_parallel=2 --set teacher.engine.max_model_len=16384"),
        ("32B", 24, 16_384, "--set teacher.engine.tensor_parallel=4"),
        ("8B", 24, 40_960, "--set teacher.engine.tensor_parallel=2"),
        ("32B", 2, 16_384, ""),
    ],
)
def test_the_smallest_change_for_an_engine(size, memory_gib, needed, remedy):
    fit = fit_of_engine("teacher.engine", qwen3(size), VllmEngine(), memory_gib * GIB, needed=needed)
    assert not fit.fits
    assert fit.remedy == remedy


def test_the_embedded_engine_is_told_of_vllm():
    fit = fit_of_embedded("teacher.engine", qwen3("8B"), None, 16 * GIB, needed=4096)
    assert fit.remedy == "--set 'teacher.engine={kind: vllm, tensor_parallel: 2}'"


CHECKPOINTING = "--set train.activation_checkpointing=true"

OFFLOADED = f"{CHECKPOINTING} --set 'train.strategy={{cpu_offload: true, kind: fsdp2}}'"


@pytest.mark.parametrize(
    ("size", "knobs", "remedy"),
    [
        ("0.6B", {"workers": 1, "max_length": 8192}, ""),
        ("0.6B", {"workers": 1, "max_length": 32_768}, CHECKPOINTING),
        ("8B", {"workers": 8, "max_length": 2048}, "--set 'train.strategy={kind: fsdp2}'"),
        ("8B", {"workers": 8, "max_length": 16_384}, f"{CHECKPOINTING} --set 'train.strategy={{kind: fsdp2}}'"),
        ("8B", {"workers": 1, "max_length": 2048}, OFFLOADED),
        ("8B", {"workers": 2, "max_length": 8192, "strategy": DeepSpeed(zero_stage=3)}, CHECKPOINTING),
        ("32B", {"workers": 2, "max_length": 8192, "strategy": DeepSpeed(zero_stage=3)}, OFFLOADED),
    ],
)  # fmt: skip
def test_the_smallest_change_for_a_training(size, knobs, remedy):
    shape, train = qwen3(size), Train(use_gpu=True, **knobs)
    fit = fit_of_training(shape, train, MEMORY)
    assert fit.remedy == remedy
    assert fit.fits == (remedy == "")


def test_a_remedy_is_a_setting_that_recipes_take(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: n\nproblems: {kind: tiny}\nstudent: {model: tiny/student}\nteacher: {model: tiny/careful}\n")
    fit = fit_of_training(qwen3("8B"), Train(use_gpu=True, workers=1), MEMORY)
    settings = [part.strip(" '") for part in fit.remedy.split("--set")[1:]]
    changed = load_recipe(recipe, ["train.use_gpu=true", "train.workers=1", *settings]).train
    assert changed.strategy == Fsdp2(cpu_offload=True)
    assert fit_of_training(qwen3("8B"), changed, MEMORY).fits


def test_a_worker_on_a_cpu_has_no_limit_that_anyone_stated():
    assert fit_of_training(qwen3("32B"), Train(workers=1), MEMORY).fits
