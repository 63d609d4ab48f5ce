"""The worker loop: what every Ray Train worker runs. Deterministic in seed and step, so that it resumes exactly."""

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import Checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

from ded_ray.recipe import Train
from ded_ray.records import Example
from ded_ray.tiny.models import model_path
from ded_ray.train.loss import step_weights, weighted_token_loss
from ded_ray.train.sequences import batch_at, micro_batches, num_steps, pad, to_sequence
from ded_ray.train.wrap import Wrapped, wrap

HF_FOLDER = "hf"
CURVE_FILE = "curve.jsonl"


def learning_rate_at(step: int, total: int, train: Train) -> float:
    """Linear warm-up, then a cosine down to a tenth of the peak. Our choice: DED states no schedule."""
    warmup = max(1, round(train.warmup_fraction * total))
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return train.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))


def train_worker(config: dict[str, Any]) -> None:
    """Train `config['student']` on `config['examples']` as `config['train']` says; report checkpoints to Ray Train."""
    train: Train = config["train"]
    examples: list[Example] = config["examples"]
    context = ray.train.get_context()
    rank, num_workers = context.get_world_rank(), context.get_world_size()
    torch.set_num_threads(max(1, int(train.num_cpus)))
    torch.manual_seed(config["seed"])
    device = ray.train.torch.get_device() if train.use_gpu else torch.device("cpu")

    path = model_path(config["student"])
    tokenizer = AutoTokenizer.from_pretrained(path)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    sequences = [to_sequence(example, tokenizer) for example in examples]
    total = num_steps(len(sequences), train.batch_size, train.epochs, train.max_steps)
    inner = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).to(device)
    model = wrap(inner, train, rank=rank)
    first_step, curve = _resume(model)

    for step in range(first_step, total):
        batch = batch_at(step, len(sequences), train.batch_size, config["seed"])
        told = [sequences[i] for i in batch]
        scaled, normalizer = step_weights([s.weight for s in told], [len(s.completion_ids) for s in told])
        seen = {i: replace(sequences[i], weight=weight) for i, weight in zip(batch, scaled, strict=True)}
        shares = micro_batches(batch, rank, num_workers, train.micro_batch_size)
        step_loss = torch.zeros((), device=device)
        for number, share in enumerate(shares, start=1):
            # An empty share still takes part in the collectives: any sequence, with its loss taken times zero.
            ids, mask, labels, weights = (t.to(device) for t in pad([seen[i] for i in share or batch[:1]], pad_id))
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=train.use_gpu):
                logits = model.logits(ids, mask, last=number == len(shares))
            loss = weighted_token_loss(logits, labels, weights if share else weights * 0) / normalizer
            model.backward(loss)
            step_loss += loss.detach()
        rate = learning_rate_at(step, total, train)
        norm = model.step(rate)
        torch.distributed.all_reduce(step_loss)
        curve.append({"step": step + 1, "loss": step_loss.item(), "learning_rate": rate, "grad_norm": norm,
                      "weighted_tokens": normalizer})  # fmt: skip
        if rank == 0:
            config["counts"].set.remote(done=step + 1)
        if (step + 1) % train.checkpoint_every_steps == 0 or step + 1 == total:
            _report(model, tokenizer, curve, rank=rank, final=step + 1 == total)


def _resume(model: Wrapped) -> tuple[int, list[dict[str, float]]]:
    """(first step to do, curve so far): from the last checkpoint that Ray Train committed, else from the start."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return 0, []
    with checkpoint.as_directory() as folder:
        step = model.load(Path(folder))
        curve = [json.loads(line) for line in (Path(folder) / CURVE_FILE).read_text().splitlines()]
    return step, curve


def _report(model: Wrapped, tokenizer: Any, curve: list[dict[str, float]], *, rank: int, final: bool) -> None:
    """Checkpoint: every worker writes its own part, Ray Train puts them together in the run's storage."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder), step=int(curve[-1]["step"]))
        if rank == 0:
            (Path(folder) / CURVE_FILE).write_text("".join(json.dumps(point) + "\n" for point in curve))
        if final:
            model.export(Path(folder) / HF_FOLDER)
            if rank == 0:
                tokenizer.save_pretrained(Path(folder) / HF_FOLDER)
        checkpoint = Checkpoint.from_directory(folder) if any(Path(folder).iterdir()) else None
        ray.train.report({"step": curve[-1]["step"], "loss": curve[-1]["loss"]}, checkpoint=checkpoint)
