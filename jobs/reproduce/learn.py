"""Trains one tiny student on a corpus and measures it, in one process: ded_ray's own loss, order and schedule without Ray
Train around them. (tests/train/test_train.py holds the worker loop to these few lines.)"""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ded_ray.evaluate.scores import pass_rates
from ded_ray.recipe import Sampling, Train
from ded_ray.tiny.models import model_path
from ded_ray.train.loss import step_weights, weighted_token_loss
from ded_ray.train.sequences import batch_at, pad, to_sequence
from ded_ray.train.worker import learning_rate_at
from jobs.reproduce.experiments import Lesson
from jobs.reproduce.world import BATCH_SIZE, LEARNING_RATE, STUDENT, World, answered, remember


def learn(lesson: Lesson, world: World, folder: Path) -> None:
    """Train the student and save it in `folder`."""
    knobs = Train(learning_rate=LEARNING_RATE, batch_size=BATCH_SIZE)
    torch.set_num_threads(1)
    torch.manual_seed(world.seed)
    path = model_path(STUDENT)
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    sequences = [to_sequence(example, tokenizer) for example in lesson.examples]
    optimizer = torch.optim.AdamW(model.parameters(), lr=knobs.learning_rate, weight_decay=knobs.weight_decay)
    for step in range(lesson.num_steps):
        batch = [sequences[i] for i in batch_at(step, len(sequences), BATCH_SIZE, seed=world.seed)]
        ids, mask, labels, _ = pad(batch, tokenizer.pad_token_id)
        scaled, normalizer = step_weights([s.weight for s in batch], [len(s.completion_ids) for s in batch])
        loss = (
            weighted_token_loss(model(input_ids=ids, attention_mask=mask).logits, labels, torch.tensor(scaled)) / normalizer
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), knobs.max_grad_norm)
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, lesson.num_steps, knobs)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


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
