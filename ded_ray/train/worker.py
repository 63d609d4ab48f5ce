"""The worker loop: what every Ray Train worker runs. Deterministic in seed and step, so that it resumes exactly.

`jobs/reproduce/learn.py` is the same loop without Ray, workers and micro-batches.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import Checkpoint

from ded_ray.models.chat import ChatTokenizer
from ded_ray.models.load import model_path
from ded_ray.recipe import Generator, Train
from ded_ray.records import Example
from ded_ray.train.batches import batch_at, micro_batches, num_steps, pad
from ded_ray.train.loss import step_weights, weighted_token_loss
from ded_ray.train.schedule import learning_rate_at
from ded_ray.train.sequences import to_sequence
from ded_ray.train.strategy import Strategy, make_strategy

HF_FOLDER = "hf"
CURVE_FILE = "curve.jsonl"


def train_worker(config: dict[str, Any]) -> None:
    """Train `config['student']` on `config['examples']` as `config['train']` says; report checkpoints to Ray Train."""
    train: Train = config["train"]
    examples: list[Example] = config["examples"]
    context = ray.train.get_context()
    rank, num_workers = context.get_world_rank(), context.get_world_size()
    torch.set_num_threads(max(1, int(train.num_cpus)))
    torch.manual_seed(config["seed"])
    device = ray.train.torch.get_device() if train.use_gpu else torch.device("cpu")

    student: Generator = config["student"]
    chat = ChatTokenizer(student.model, student.chat)
    pad_id = chat.tokenizer.pad_token_id if chat.tokenizer.pad_token_id is not None else chat.tokenizer.eos_token_id
    sequences = [to_sequence(example, chat) for example in examples]
    total = num_steps(len(sequences), train.batch_size, train.epochs, train.max_steps)
    strategy = make_strategy(model_path(student.model), train, rank=rank, device=device)
    first_step, curve = _resume(strategy)

    for step in range(first_step, total):
        indices = batch_at(step, len(sequences), train.batch_size, config["seed"])
        step_sequences = [sequences[i] for i in indices]
        num_tokens = [len(sequence.completion_ids) for sequence in step_sequences]
        weights, normalizer = step_weights([sequence.weight for sequence in step_sequences], num_tokens)
        weighted = {i: replace(sequences[i], weight=weight) for i, weight in zip(indices, weights, strict=True)}
        shares = micro_batches(indices, rank, num_workers, train.micro_batch_size)
        step_loss = torch.zeros((), device=device)
        for number, share in enumerate(shares, start=1):
            # An empty share still takes part in the collectives: any sequence, at weight 0.
            rows = [weighted[i] for i in share] or [replace(step_sequences[0], weight=0.0)]
            batch = pad(rows, pad_id).to(device)
            losses_BT = strategy.token_losses(batch, last=number == len(shares))
            loss = weighted_token_loss(losses_BT, batch.weights_BT) / normalizer
            strategy.backward(loss)
            step_loss += loss.detach()
        rate = learning_rate_at(step, total, train)
        norm = strategy.step(rate)
        torch.distributed.all_reduce(step_loss)
        curve.append({"step": step + 1, "loss": step_loss.item(), "learning_rate": rate, "grad_norm": norm,
                      "weighted_tokens": normalizer})  # fmt: skip
        if rank == 0:
            config["counts"].set.remote(done=step + 1)
        if (step + 1) % train.checkpoint_every_steps == 0 or step + 1 == total:
            _report(strategy, chat, curve, rank=rank, final=step + 1 == total)


def _resume(strategy: Strategy) -> tuple[int, list[dict[str, float]]]:
    """(first step to do, curve so far): from the last checkpoint that Ray Train committed, else from the start."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return 0, []
    with checkpoint.as_directory() as folder:
        step = strategy.load(Path(folder))
        curve = [json.loads(line) for line in (Path(folder) / CURVE_FILE).read_text().splitlines()]
    return step, curve


def _report(strategy: Strategy, chat: ChatTokenizer, curve: list[dict[str, float]], *, rank: int, final: bool) -> None:
    """Checkpoint: every worker writes its own part, Ray Train puts them together in the run's storage."""
    with tempfile.TemporaryDirectory() as folder:
        strategy.save(Path(folder), step=int(curve[-1]["step"]))
        if rank == 0:
            (Path(folder) / CURVE_FILE).write_text("".join(json.dumps(point) + "\n" for point in curve))
        if final:
            strategy.export(Path(folder) / HF_FOLDER)
            if rank == 0:
                chat.export(str(Path(folder) / HF_FOLDER))
        checkpoint = Checkpoint.from_directory(folder) if any(Path(folder).iterdir()) else None
        ray.train.report({"step": curve[-1]["step"], "loss": curve[-1]["loss"]}, checkpoint=checkpoint)
