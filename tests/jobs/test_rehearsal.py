"""DED's own recipe for eight GPUs, rehearsed on this machine: a student as deep, of tiny width, eight gloo workers."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import PROJECT, run_cli
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from ded_ray.models.chat import ChatTokenizer

NUM_WORKERS, NUM_STEPS, NUM_LAYERS = 8, 3, 32
TINY = "{kind: tiny, family: chain, difficulty: [3, 5], num_problems: "


@pytest.fixture
def student(tmp_path: Path) -> str:
    folder = str(tmp_path / "student")
    chat = ChatTokenizer("tiny/student")
    torch.manual_seed(0)
    Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(chat.tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=NUM_LAYERS,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False, pad_token_id=0, eos_token_id=1,
            max_position_embeddings=2048,
        )
    ).save_pretrained(folder)  # fmt: skip
    chat.export(folder)
    return folder


def knobs(student: str) -> list[str]:
    """What a machine without GPUs, hub and data cannot take from the recipe."""
    return [
        f"problems={TINY}32}}", f"student.model={student}", "student.engine={kind: transformers}",
        "student.measure_pass_rate=false", "student.sampling.max_tokens=64", "teacher.model=known",
        "teacher.engine={kind: scripted, batch_size: 8}", "train.use_gpu=false", "train.batch_size=8",
        f"train.max_steps={NUM_STEPS}", "train.max_length=256", "serve.replicas=1", "train.num_cpus=0.25",
        "evaluate.sampling={num_rollouts: 1, max_tokens: 8}",
        f"evaluate.benchmarks=[{{name: chain, domain: in, problems: {TINY}2}}}}]",
    ]  # fmt: skip


@pytest.mark.slow
def test_it_trains_under_both_strategies_that_divide_the_model(student, tmp_path):
    recipe = PROJECT / "jobs" / "recipes" / "ded_math_8gpu.yaml"
    curves = {}
    for name, strategy in (("zero-3", ""), ("fsdp2", "train.strategy={kind: fsdp2}")):
        folder = tmp_path / name
        if curves:
            shutil.copytree(tmp_path / "zero-3", folder)  # its answers are there already
        overrides = [f"--set={knob}" for knob in [*knobs(student), strategy] if knob]
        run_cli("run", recipe, "--out", folder, *overrides)
        made = (folder / "recipe.yaml").read_text()
        assert f"workers: {NUM_WORKERS}" in made
        assert ("kind: fsdp2" if strategy else "zero_stage: 3") in made
        lines = (folder / "checkpoint" / "curve.jsonl").read_text().splitlines()
        curves[name] = [json.loads(line)["loss"] for line in lines]
        model = AutoModelForCausalLM.from_pretrained(folder / "checkpoint" / "model")
        assert model.config.num_hidden_layers == NUM_LAYERS
    assert len(curves["zero-3"]) == NUM_STEPS
    assert curves["fsdp2"] == pytest.approx(curves["zero-3"], rel=1e-4)
