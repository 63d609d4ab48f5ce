"""Which sequences each worker sees at each step, a pure function of seed and step; and sequences as tensors.

    indices = batch_at(step, num_sequences, batch_size, seed)                 # of one optimiser step, over all workers
    for share in micro_batches(indices, rank, num_workers, micro_batch_size):
        batch = pad([sequences[i] for i in share], pad_id)

Padded and packed batches have the same form, so that they share one loss.
"""

import random
from dataclasses import dataclass

import torch

from ded_ray.train.loss import IGNORED
from ded_ray.train.sequences import Sequence


@dataclass(frozen=True)
class Batch:
    """What a strategy turns into token losses. All are B x T; labels and weights stand where their token stands."""

    input_ids: torch.Tensor
    labels: torch.Tensor  # the token itself, IGNORED where it is not trained on: prompt and padding
    weights_BT: torch.Tensor  # the loss weight of each label
    position_ids: torch.Tensor  # restart at 0 with every sequence

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(tensor.to(device) for tensor in (self.input_ids, self.labels, self.weights_BT, self.position_ids)))


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
    """One worker's share of a batch, cut up. Every worker gets equally many, some of them empty: collectives must match."""
    largest_share = -(-len(batch) // num_workers)
    share = batch[rank::num_workers]
    return [share[i : i + micro_batch_size] for i in range(0, largest_share, micro_batch_size)]


def pad(sequences: list[Sequence], pad_id: int) -> Batch:
    """One sequence per row, padded on the right to the longest: no token ever attends to what stands after it."""
    longest = max(sequence.length for sequence in sequences)
    shape = (len(sequences), longest)
    input_ids, labels, weights_BT = torch.full(shape, pad_id), torch.full(shape, IGNORED), torch.zeros(shape)
    for row, sequence in enumerate(sequences):
        completion = slice(len(sequence.prompt_ids), sequence.length)
        input_ids[row, : sequence.length] = torch.tensor(sequence.prompt_ids + sequence.completion_ids)
        labels[row, completion] = torch.tensor(sequence.completion_ids)
        weights_BT[row, completion] = sequence.weight
    return Batch(input_ids, labels, weights_BT, torch.arange(longest).expand(shape))
