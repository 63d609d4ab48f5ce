"""Trains one tiny student on a corpus and measures it, in one process: ded_ray's own loss, order and schedule without Ray
Train around them. `tests/train/test_train.py` holds the worker loop to `fit`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from ded_ray.evaluate.scores import pass_rates
from ded_ray.models.chat import ChatTokenizer
from ded_ray.models.load import model_path
from ded_ray.recipe import Sampling, Train
from ded_ray.train.batches import batch_at, padded
from ded_ray.train.loss import step_weights, token_losses, weighted_token_loss
from ded_ray.train.schedule import learning_rate_at
from ded_ray.train.sequences import Sequence, to_sequence
from jobs.reproduce.experiments import Lesson
from jobs.reproduce.world import BATCH_SIZE, LEARNING_RATE, STUDENT, World, answered, remember


def learn(lesson: Lesson, world: World, folder: Path) -> None:
    """Train the student and save it in `folder`."""
    torch.set_num_threads(1)
    torch.manual_seed(world.seed)
    config = Train(learning_rate=LEARNING_RATE, batch_size=BATCH_SIZE)
    chat = ChatTokenizer(STUDENT)
    sequences = [to_sequence(example, chat) for example in lesson.examples]
    model, _ = fit(STUDENT, sequences, config, num_steps=lesson.num_steps, seed=world.seed)
    model.save_pretrained(folder)
    chat.tokenizer.save_pretrained(folder)


def fit(student: str, sequences: list[Sequence], config: Train, *, num_steps: int, seed: int) -> tuple[Any, list[float]]:
    """(the trained model, the loss of every step): the whole of weighted training in one plain loop."""
    model, losses = AutoModelForCausalLM.from_pretrained(model_path(student), dtype=torch.float32), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    for step in range(num_steps):
        step_sequences = [sequences[i] for i in batch_at(step, len(sequences), config.batch_size, seed)]
        num_tokens = [len(sequence.completion_ids) for sequence in step_sequences]
        weights, normalizer = step_weights([sequence.weight for sequence in step_sequences], num_tokens)
        weighted = [replace(sequence, weight=weight) for sequence, weight in zip(step_sequences, weights, strict=True)]
        batch = padded(weighted, pad_id=0)
        logits = model(input_ids=batch.input_ids, position_ids=batch.position_ids).logits
        loss = weighted_token_loss(token_losses(logits, batch.labels), batch.weights_BT) / normalizer
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, num_steps, config)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return model, losses


def measure(model: str, world: World) -> dict[str, list[float]]:
    """Pass rates by problem on each benchmark, in its order."""
    sampling = Sampling(num_rollouts=world.size.samples, max_tokens=320)
    found: dict[str, list[float]] = {}
    for name, problems in world.held_out().items():
        rates = pass_rates(answered(model, problems, sampling, 7000 + world.seed, batch_size=32))
        found[name] = [rates.get(problem.problem_id, 0.0) for problem in problems]
    return found


def teach(lesson: Lesson, world: World) -> None:
    """One student, trained and measured once: afterwards what it scored is read."""
    file = world.scores_file(lesson.key(world.seed))
    if file.exists():
        return
    folder = file.with_suffix("")
    if lesson.examples:
        learn(lesson, world, folder)
    rates = measure(str(folder) if lesson.examples else STUDENT, world)
    remember(file, {"num_examples": len(lesson.examples), "num_steps": lesson.num_steps, "rates": rates})
