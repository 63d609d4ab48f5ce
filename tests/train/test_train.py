"""Real training on two gloo workers: against a plain loop in this process, against DeepSpeed, and interrupted."""

import asyncio
import re
import shutil
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import ray
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ded_ray.errors import BadInput, Stopped
from ded_ray.files.parts import write_part
from ded_ray.generate.engine import Request
from ded_ray.generate.engines.transformers import TransformersModel
from ded_ray.models.load import model_path
from ded_ray.recipe import (
    DeepSpeed,
    HeldOut,
    PassRate,
    Recipe,
    Sampling,
    Student,
    Teacher,
    TinyProblems,
    Train,
    Verify,
    Wandb,
)
from ded_ray.records import Group, Rollout, stable_hash, to_table
from ded_ray.runtime.progress import Counts
from ded_ray.tiny.problems import make_problems
from ded_ray.train.batches import batch_at, num_steps, padded, rows_of_worker
from ded_ray.train.held_out import LOSS, PASS_RATE, best_step, split
from ded_ray.train.pass_rate import Grading
from ded_ray.train.ray_train import tokenize, train
from ded_ray.train.student import give_weighted_loss
from ded_ray.train.tokens import Tokens
from ded_ray.verify.worker import VerifyWorker
from jobs.reproduce.learn import fit

# 11 examples in batches of 4 over 2 workers: uneven last batches, empty rows, several rows a step.
KNOBS = Train(workers=2, epochs=2, batch_size=4, max_length=80, learning_rate=1e-3, checkpoint_every_steps=2)


def recipe(**config) -> Recipe:
    return Recipe(
        name="t",
        problems=TinyProblems(),
        student=Student(model="tiny/student"),
        teacher=Teacher(model="tiny/careful"),
        train=KNOBS.model_copy(update=config),
    )


def groups() -> list[Group]:
    return [
        Group.of(
            problem, f"g{i}", "t",
            [Rollout(index=0, completion=f"{'so ' * (i % 3)}\\boxed{{{problem.answer}}}", num_tokens=9,
                     finish_reason="stop", seed=0, weight=0.25 * (i + 1))],
        )
        for i, problem in enumerate(make_problems("chain", 11, (2, 6), 0))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "curated").mkdir()
    write_part(folder / "curated", to_table(groups(), Group))
    tokenize(folder / "curated", recipe().student, KNOBS.max_length, folder / "tokens")
    return folder / "tokens"


def trained(tokens: Path, folder: Path, name: str = "run", counts=None, **config) -> list[dict[str, float]]:
    return train(recipe(**config), tokens=tokens, folder=folder, name=name, counts=counts or ray.remote(Counts).remote())


def plain_loop(tokens: Path) -> list[float]:
    """The same training without Ray, workers or packing: whole batches in one process."""
    read = Tokens(tokens)
    return fit(
        "tiny/student", [read[i] for i in range(len(read))], KNOBS, num_steps=num_steps(len(read), 4, 2, None), seed=0
    )[1]


@pytest.fixture(scope="module")
def ddp(ray_cluster, tokens, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    return folder, trained(tokens, folder)


def test_two_workers_are_one_plain_loop(ddp, tokens):
    _, curve = ddp
    assert [point["loss"] for point in curve] == pytest.approx(plain_loop(tokens), rel=2e-3)
    assert [point["step"] for point in curve] == [1, 2, 3, 4, 5, 6]
    assert curve[0]["loss"] > curve[-1]["loss"]


def test_the_curve_says_how_much_was_padding_and_nothing_of_a_gpu_that_is_not_there(ddp, tokens):
    read = Tokens(tokens)
    lengths = {i: int(read.lengths[i]) for i in range(len(read))}
    for step, point in enumerate(ddp[1]):
        indices = batch_at(step, len(read), KNOBS.batch_size, 0)
        packs = KNOBS.model_copy(update={"packing": True})
        rows = [row for rank in range(2) for row in rows_of_worker(indices, lengths, packs, rank=rank, num_workers=2)]
        positions = sum(sum(lengths[i] for i in row or indices[:1]) for row in rows)
        assert point["padding"] == pytest.approx(1 - point["num_tokens"] / positions)
        assert "mfu" not in point


def test_what_comes_out_is_in_hugging_face_format(ddp):
    folder, _ = ddp
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    base = AutoModelForCausalLM.from_pretrained(model_path("tiny/student"), dtype=torch.float32)
    assert AutoTokenizer.from_pretrained(folder / "model").chat_template
    moved = [not torch.equal(a, b) for a, b in zip(model.parameters(), base.parameters(), strict=True)]
    assert all(moved)


@pytest.mark.slow
@pytest.mark.parametrize("zero_stage", [2, 3])
def test_deepspeed_gets_the_losses_of_ddp(ddp, tokens, tmp_path, zero_stage):
    curve = trained(tokens, tmp_path, strategy=DeepSpeed(zero_stage=zero_stage))
    assert [point["loss"] for point in curve] == pytest.approx([point["loss"] for point in ddp[1]], rel=1e-3)
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "model").state_dict()
    wanted = AutoModelForCausalLM.from_pretrained(ddp[0] / "model").state_dict()
    assert exported.keys() == wanted.keys()
    assert all(torch.allclose(exported[k].float(), wanted[k].float(), atol=5e-3) for k in wanted)


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed")
def test_a_curve_that_nobody_can_send_ends_all_workers_with_one_line(ray_cluster, tokens, tmp_path):
    with pytest.raises(BadInput, match="the package wandb is not here"):
        trained(tokens, tmp_path, wandb=Wandb(project="p"))


def killer_of_a_worker(at_step: int):
    """An actor that counts like the progress actor, and once kills a training worker."""

    class Killer(Counts):  # local, so that Ray ships the class itself and not the name of this test module
        num_killed = 0

        def set(self, **counts: int) -> None:
            super().set(**counts)
            if counts["done"] >= at_step and not self.num_killed:
                processes = psutil.process_iter(["cmdline"])
                next(p for p in processes if "RayTrainWorker" in " ".join(p.info["cmdline"] or [])).kill()
                self.num_killed += 1

        def killed(self) -> int:
            return self.num_killed

    return ray.remote(Killer).remote()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [KNOBS.strategy, DeepSpeed(zero_stage=2)], ids=["ddp", "zero-2"])
def test_a_killed_worker_does_not_change_the_training(ddp, tokens, tmp_path, strategy):
    killer = killer_of_a_worker(at_step=4)
    curve = trained(tokens, tmp_path, counts=killer, strategy=strategy)
    assert ray.get(killer.killed.remote()) == 1
    assert [point["step"] for point in curve] == [1, 2, 3, 4, 5, 6]
    assert [point["loss"] for point in curve] == pytest.approx([point["loss"] for point in ddp[1]], rel=1e-3)


@pytest.mark.slow
def test_a_training_that_is_told_to_stop_goes_on_from_that_very_step(ddp, tokens, tmp_path):
    class OverBudget(Counts):
        def set(self, **counts: int) -> None:
            super().set(**counts)
            if counts["done"] == 3:
                self.stop("the budget is spent")

    with pytest.raises(Stopped, match="the budget is spent"):
        trained(tokens, tmp_path, counts=ray.remote(OverBudget).remote(), checkpoint_every_steps=100)
    counts = ray.remote(Counts).remote()
    curve = trained(tokens, tmp_path, counts=counts, checkpoint_every_steps=100)
    assert ray.get(counts.read.remote())["found"] == 4, "the first step that it did itself"
    assert [point["step"] for point in curve] == [1, 2, 3, 4, 5, 6]
    assert [point["loss"] for point in curve] == pytest.approx([point["loss"] for point in ddp[1]], rel=1e-3)


@pytest.mark.slow
def test_the_best_checkpoint_on_held_out_questions_comes_out(ray_cluster, tokens, tmp_path):
    """A rate at which the student first learns and then forgets: what comes out is not what it ended with."""
    held_out = HeldOut(fraction=0.3, every_steps=2, patience=2)
    curve = trained(tokens, tmp_path, held_out=held_out, learning_rate=1e-2, epochs=40)
    measured = {point["step"]: point[LOSS] for point in curve if LOSS in point}
    assert list(measured) == list(range(2, curve[-1]["step"] + 1, 2))
    best = min(measured, key=measured.get)
    assert best < curve[-1]["step"] < 80
    read = Tokens(tokens)
    _, out = split(read, held_out)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    give_weighted_loss(model)
    sequences = [read[i] for i in out]
    loss, _ = model(padded(sequences, 0))
    weighted_tokens = sum(sequence.weight * len(sequence.completion_ids) for sequence in sequences)
    assert float(loss.detach()) / weighted_tokens == pytest.approx(measured[best], rel=1e-2)


def answers_right(model: str, group: Group, seeds: list[int], max_tokens: int) -> list[bool]:
    """What the embedded engine, which serves, answers with these random streams."""
    engine, verifier = TransformersModel(model), VerifyWorker(Verify())
    sampling = Sampling(num_rollouts=1, max_tokens=max_tokens)
    requests = [Request([{"role": "user", "content": group.prompt}], sampling, seed) for seed in seeds]

    async def ask() -> dict[int, Rollout]:
        return {request.seed: rollouts[0] async for request, rollouts in engine.generate(requests)}

    found = asyncio.run(ask())
    group = verifier.verify_group(replace(group, rollouts=[found[seed] for seed in seeds]))
    verifier.close()
    return [rollout.status == "correct" for rollout in group.rollouts]


def test_the_checkpoint_with_the_best_pass_rate_comes_out_and_is_measured_as_it_is_served(ray_cluster, tokens, tmp_path):
    asked = PassRate(num_samples=3, max_tokens=20, questions_at_once=1)
    held_out = HeldOut(fraction=0.3, every_steps=2, pass_rate=asked)
    grading = Grading(tokens.parent / "curated", partial(VerifyWorker, Verify()))
    config = {"held_out": held_out, "epochs": 4, "export_dtype": "float32"}
    counts = ray.remote(Counts).remote()
    curve = train(recipe(**config), tokens=tokens, folder=tmp_path, name="run", counts=counts, grading=grading)
    measured = {point["step"]: point[PASS_RATE] for point in curve if PASS_RATE in point}
    assert list(measured) == [2, 4, 6, 8]
    best = best_step(curve, held_out)
    assert measured[best] == max(measured.values())
    read = Tokens(tokens)
    questions = {read.problem_id(i) for i in split(read, held_out)[1]}
    assert len(questions) == 3, "on two workers one has a question less"
    rates = []
    for group in (group for group in groups() if group.problem_id in questions):
        seeds = [int(stable_hash("pass rate", 0, best, group.problem_id, sample), 16) >> 1 for sample in range(3)]
        rates.append(sum(answers_right(str(tmp_path / "model"), group, seeds, max_tokens=20)) / 3)
    assert sum(rates) / 3 == pytest.approx(measured[best])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "reason"), [("nan", "step 1: the loss is nan"), ("rate", "step 2: the (loss|gradient norm) is")]
)
def test_a_training_that_goes_wrong_stops_and_names_its_rollouts(ray_cluster, tokens, tmp_path, damage, reason):
    folder = shutil.copytree(model_path("tiny/student"), tmp_path / "student")
    if damage == "nan":
        weights = load_file(folder / "model.safetensors")
        weights["model.norm.weight"].fill_(float("nan"))
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    made = recipe(learning_rate=1e-3 if damage == "nan" else 1e30, warmup_fraction=0.0)
    made = made.model_copy(update={"student": Student(model=str(folder))})
    with pytest.raises(Stopped, match=reason) as stopped:
        train(made, tokens=tokens, folder=tmp_path / "out", name="run", counts=ray.remote(Counts).remote())
    steps = pq.read_table(tmp_path / "out" / "steps.parquet").to_pylist()
    last = [row for row in steps if row["step"] == steps[-1]["step"]]
    assert re.search(r"the worst is (\S+) ", str(stopped.value)).group(1) in {row["rollout"] for row in last}
    assert len(last) == KNOBS.batch_size
    assert not (tmp_path / "out" / "model").exists()
