"""Examples as token sequences, and which of them each worker sees at each step: a pure function of seed and step."""

import random
from dataclasses import dataclass
from typing import Any

import torch

from ded_ray.records import Example
from ded_ray.train.loss import IGNORED


@dataclass(frozen=True, slots=True)
class Sequence:
    """A prompt in the student's own chat template, the completion, the end token. The loss is on the last two."""

    prompt_ids: list[int]
    completion_ids: list[int]
    weight: float

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


def to_sequence(example: Example, tokenizer: Any) -> Sequence:
    """Tokenise as generation will see it: rendering the whole dialogue would let a template edit the thinking away."""
    messages = [{"role": "user", "content": example.prompt}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return Sequence(
        prompt_ids=tokenizer.encode(prompt, add_special_tokens=False),
        completion_ids=[*tokenizer.encode(example.completion, add_special_tokens=False), tokenizer.eos_token_id],
        weight=example.weight,
    )


def num_steps(num_sequences: int, batch_size: int, epochs: int, max_steps: int | None) -> int:
    """Optimiser steps of a whole training; an epoch's last batch may be smaller."""
    steps = epochs * -(-num_sequences // batch_size)
    return min(steps, max_steps) if max_steps else steps


def batch_at(step: int, num_sequences: int, batch_size: int, seed: int) -> list[int]:
    """Indices of the sequences of one optimiser step, over all workers.

    Every epoch is its own seeded permutation, so a run that resumes at any step sees just what it would have seen.
    """
    steps_per_epoch = -(-num_sequences // batch_size)
    epoch, position = divmod(step, steps_per_epoch)
    order = list(range(num_sequences))
    random.Random(f"{seed}-{epoch}").shuffle(order)
    return order[position * batch_size : (position + 1) * batch_size]


def micro_batches(batch: list[int], rank: int, num_workers: int, micro_batch_size: int) -> list[list[int]]:
    """One worker's share of a batch, cut up. Every worker gets equally many, perhaps empty ones: collectives must match."""
    largest_share = -(-len(batch) // num_workers)
    share = batch[rank::num_workers]
    return [share[i : i + micro_batch_size] for i in range(0, largest_share, micro_batch_size)]


def pad(sequences: list[Sequence], pad_id: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(input ids B x T, attention mask B x T, labels B x T, weights B), padded on the right to the longest."""
    longest = max(s.length for s in sequences)
    ids_BT = torch.full((len(sequences), longest), pad_id)
    mask_BT = torch.zeros((len(sequences), longest), dtype=torch.long)
    labels_BT = torch.full((len(sequences), longest), IGNORED)
    for row, s in enumerate(sequences):
        ids_BT[row, : s.length] = torch.tensor(s.prompt_ids + s.completion_ids)
        mask_BT[row, : s.length] = 1
        labels_BT[row, len(s.prompt_ids) : s.length] = torch.tensor(s.completion_ids)
    return ids_BT, mask_BT, labels_BT, torch.tensor([s.weight for s in sequences])
