"""Real training on two gloo workers: against a plain loop in this process, against DeepSpeed, and told to stop."""

import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray
import torch
from safetensors.torch import load_file, save_file
from trainings import KNOBS, assert_same, recipe, trained
from transformers import AutoModelForCausalLM, AutoTokenizer

from ded_ray.errors import Stopped
from ded_ray.models.load import model_path
from ded_ray.recipe import DeepSpeed, HeldOut, Student
from ded_ray.runtime.progress import Counts
from ded_ray.train.batches import batch_at, num_steps, padded, rows_of_worker
from ded_ray.train.held_out import LOSS, split
from ded_ray.train.history import History
from ded_ray.train.ray_train import train
from ded_ray.train.student import give_weighted_loss
from ded_ray.train.tokens import Tokens
from jobs.reproduce.learn import fit


def plain_loop(tokens: Path) -> list[float]:
    """The same training without Ray, workers or packing: whole batches in one process."""
    read = Tokens(tokens)
    return fit(
        "tiny/student", [read[i] for i in range(len(read))], KNOBS, num_steps=num_steps(len(read), 4, 2, None), seed=0
    )[1]


def losses(folder: Path) -> list[float]:
    return [point["loss"] for point in History.read(folder)]


def test_two_workers_are_one_plain_loop(uninterrupted, training_tokens):
    curve = History.read(uninterrupted(KNOBS.strategy))
    assert [point["loss"] for point in curve] == pytest.approx(plain_loop(training_tokens), rel=2e-3)
    assert [point["step"] for point in curve] == [1, 2, 3, 4, 5, 6]
    assert curve[0]["loss"] > curve[-1]["loss"]


def test_the_curve_says_how_much_was_padding_and_nothing_of_a_gpu_that_is_not_there(uninterrupted, training_tokens):
    read = Tokens(training_tokens)
    lengths = {i: int(read.lengths[i]) for i in range(len(read))}
    for step, point in enumerate(History.read(uninterrupted(KNOBS.strategy))):
        indices = batch_at(step, len(read), KNOBS.batch_size, 0)
        packs = KNOBS.model_copy(update={"packing": True})
        rows = [row for rank in range(2) for row in rows_of_worker(indices, lengths, packs, rank=rank, num_workers=2)]
        positions = sum(sum(lengths[i] for i in row or indices[:1]) for row in rows)
        assert point["padding"] == pytest.approx(1 - point["num_tokens"] / positions)
        assert "mfu" not in point


def test_what_comes_out_is_in_hugging_face_format(uninterrupted):
    folder = uninterrupted(KNOBS.strategy)
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    base = AutoModelForCausalLM.from_pretrained(model_path("tiny/student"), dtype=torch.float32)
    assert AutoTokenizer.from_pretrained(folder / "model").chat_template
    moved = [not torch.equal(a, b) for a, b in zip(model.parameters(), base.parameters(), strict=True)]
    assert all(moved)


@pytest.mark.slow
@pytest.mark.parametrize("zero_stage", [2, 3])
def test_deepspeed_gets_the_losses_of_ddp(uninterrupted, zero_stage):
    folder, other = uninterrupted(DeepSpeed(zero_stage=zero_stage)), uninterrupted(KNOBS.strategy)
    assert losses(folder) == pytest.approx(losses(other), rel=1e-3)
    exported = AutoModelForCausalLM.from_pretrained(folder / "model").state_dict()
    wanted = AutoModelForCausalLM.from_pretrained(other / "model").state_dict()
    assert exported.keys() == wanted.keys()
    assert all(torch.allclose(exported[k].float(), wanted[k].float(), atol=5e-3) for k in wanted)


@pytest.mark.slow
def test_a_training_that_is_told_to_stop_goes_on_from_that_very_step(uninterrupted, training_tokens, tmp_path):
    class OverBudget(Counts):
        def set(self, **counts: int) -> None:
            super().set(**counts)
            if counts["done"] == 3:
                self.stop("the budget is spent")

    with pytest.raises(Stopped, match="the budget is spent"):
        trained(training_tokens, tmp_path, counts=ray.remote(OverBudget).remote(), checkpoint_every_steps=100)
    counts = ray.remote(Counts).remote()
    trained(training_tokens, tmp_path, counts=counts, checkpoint_every_steps=100)
    assert ray.get(counts.read.remote())["found"] == 4, "the first step that it did itself"
    assert_same(tmp_path, uninterrupted(KNOBS.strategy))


@pytest.mark.slow
def test_the_best_checkpoint_on_held_out_questions_comes_out(ray_cluster, training_tokens, tmp_path):
    """A rate at which the student first learns and then forgets: what comes out is not what it ended with."""
    held_out = HeldOut(fraction=0.3, every_steps=2, patience=2)
    curve = trained(training_tokens, tmp_path, held_out=held_out, learning_rate=1e-2, epochs=40)
    measured = {point["step"]: point[LOSS] for point in curve if LOSS in point}
    assert list(measured) == list(range(2, curve[-1]["step"] + 1, 2))
    best = min(measured, key=measured.get)
    assert best < curve[-1]["step"] < 80
    read = Tokens(training_tokens)
    _, out = split(read, held_out)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    give_weighted_loss(model)
    sequences = [read[i] for i in out]
    loss, _ = model(padded(sequences, 0))
    weighted_tokens = sum(sequence.weight * len(sequence.completion_ids) for sequence in sequences)
    assert float(loss.detach()) / weighted_tokens == pytest.approx(measured[best], rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "reason"), [("nan", "step 1: the loss is nan"), ("rate", "step 2: the (loss|gradient norm) is")]
)
def test_a_training_that_goes_wrong_stops_and_names_its_rollouts(ray_cluster, training_tokens, tmp_path, damage, reason):
    folder = shutil.copytree(model_path("tiny/student"), tmp_path / "student")
    if damage == "nan":
        weights = load_file(folder / "model.safetensors")
        weights["model.norm.weight"].fill_(float("nan"))
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    made = recipe(learning_rate=1e-3 if damage == "nan" else 1e30, warmup_fraction=0.0)
    made = made.model_copy(update={"student": Student(model=str(folder))})
    with pytest.raises(Stopped, match=reason) as stopped:
        train(made, tokens=training_tokens, folder=tmp_path / "out", name="run", counts=ray.remote(Counts).remote())
    steps = pq.read_table(tmp_path / "out" / "steps.parquet").to_pylist()
    last = [row for row in steps if row["step"] == steps[-1]["step"]]
    assert re.search(r"the worst is (\S+) ", str(stopped.value)).group(1) in {row["rollout"] for row in last}
    assert len(last) == KNOBS.batch_size
    assert not (tmp_path / "out" / "model").exists()
