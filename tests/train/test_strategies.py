"""Every strategy on two gloo workers is one process's training: the same losses, the same weights, less memory."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Ddp, DeepSpeed, Fsdp2, Student, Train
from ded_ray.records import Group, Rollout
from ded_ray.tiny.problems import make_problems
from ded_ray.train.batches import batch_at
from ded_ray.train.check import check_student
from ded_ray.train.step import Place, run_step
from ded_ray.train.strategy import make_strategy
from ded_ray.train.tokens import Tokens, write_tokens
from jobs.reproduce.learn import fit
from tests.train.gang import gang

NUM_STEPS = 50
STRATEGIES = {
    "ddp": Ddp(), "fsdp2": Fsdp2(), **{f"zero-{stage}": DeepSpeed(zero_stage=stage) for stage in (1, 2, 3)},
}  # fmt: skip
# 11 examples in batches of 4 over 2 workers: uneven last batches, empty rows, several rows a step.
KNOBS = Train(batch_size=4, max_length=80, packing=True, learning_rate=1e-3)


def groups() -> list[Group]:
    problems = make_problems("chain", 11, (2, 6), 0)
    return [
        Group.of(
            problem, problem.problem_id, "t",
            [Rollout(index=0, completion=f"{'so ' * (i % 3)}\\boxed{{{problem.answer}}}", num_tokens=9,
                     finish_reason="stop", seed=0, weight=0.25 * (i + 1))],
        )
        for i, problem in enumerate(problems)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> str:
    """A Qwen3 with tied embeddings, as small students have them, and the tiny student's tokenizer."""
    folder = str(tmp_path_factory.mktemp("models") / "student")
    chat = ChatTokenizer("tiny/student")
    torch.manual_seed(0)
    Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(chat.tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=3, head_dim=16,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, pad_token_id=0, eos_token_id=1,
        )
    ).save_pretrained(folder)  # fmt: skip
    chat.export(folder)
    return folder


@pytest.fixture(scope="module")
def tokens(student, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    write_tokens(groups(), Student(model=student), KNOBS.max_length, folder)
    return folder


def trained(rank: int, strategies: dict, student: str, tokens: Path, folder: Path, num_steps: int) -> dict[str, list[float]]:
    """The losses of each strategy, in one pair of processes; exports each."""
    read, curves = Tokens(tokens), {}
    for name, strategy in strategies.items():
        train = KNOBS.model_copy(update={"strategy": strategy})
        place = Place(rank, 2, torch.device("cpu"), pad_id=0)
        made = make_strategy(student, train, rank=rank, device=place.device)
        check_student(made, read, train, place)
        steps = [batch_at(step, len(read), train.batch_size, 0) for step in range(num_steps)]
        curves[name] = [run_step(made, read, indices, train, place, rate=1e-3).loss for indices in steps]
        made.export(folder / name)
    return curves


@pytest.fixture(scope="module")
def curves(student, tokens, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    return folder, gang(trained, STRATEGIES, student, tokens, folder, NUM_STEPS)[0]


@pytest.fixture(scope="module")
def plain(student, tokens):
    """One process, padded rows, the model's own logits."""
    read = Tokens(tokens)
    constant = KNOBS.model_copy(update={"schedule": "constant", "warmup_fraction": 0.0})
    return fit(student, [read[i] for i in range(len(read))], constant, num_steps=NUM_STEPS, seed=0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_one_plain_loop(curves, plain, name):
    folder, by_strategy = curves
    model, losses = plain
    assert by_strategy[name] == pytest.approx(losses, rel=1e-4)
    exported = AutoModelForCausalLM.from_pretrained(folder / name).state_dict()
    wanted = model.state_dict()
    assert exported.keys() == wanted.keys()
    assert all(torch.allclose(exported[key], wanted[key], atol=2e-3) for key in wanted)
