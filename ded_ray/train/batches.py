"""Which sequences each worker sees at each step, a pure function of seed and step; and sequences as tensors.

    indices = batch_at(step, num_sequences, batch_size, seed)                 # of one optimiser step, over all workers
    rows = rows_of_worker(indices, lengths, train, rank=rank, num_workers=num_workers)
    for row in rows:
        batch = make_batch([sequences[i] for i in row], train, pad_id)

Padded and packed batches have the same form, so that they share one loss.
"""

import random
from collections.abc import Mapping
from collections.abc import Sequence as Many
from functools import lru_cache

import torch

from ded_ray.recipe import Train
from ded_ray.train.loss import IGNORED
from ded_ray.train.packing import share_out
from ded_ray.train.sequences import Sequence


class Batch:
    """What a strategy turns into a loss. All are B x T; labels and weights stand where their token stands.

    Not a dataclass: FSDP2 looks into those, and would round the weights to bf16.
    """

    def __init__(
        self, input_ids: torch.Tensor, labels: torch.Tensor, weights_BT: torch.Tensor, position_ids: torch.Tensor
    ) -> None:
        self.input_ids = input_ids
        self.labels = labels  # the token itself, IGNORED where it is not trained on: prompt and padding
        self.weights_BT = weights_BT  # the loss weight of each label
        self.position_ids = position_ids  # restart at 0 with every sequence

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
    order = _order(num_sequences, epoch, seed)
    return order[position * batch_size : (position + 1) * batch_size]


@lru_cache(maxsize=1)
def _order(num_sequences: int, epoch: int, seed: int) -> list[int]:
    order = list(range(num_sequences))
    random.Random(f"{seed}-{epoch}").shuffle(order)
    return order


def rows_of_worker(
    batch: Many[int], lengths: Mapping[int, int], train: Train, *, rank: int, num_workers: int
) -> list[list[int]]:
    """What one worker does in one step: the indices of each forward pass. Every worker gets equally many, some of them
    empty: collectives must match."""
    if train.packing:
        return share_out(batch, lengths, num_workers=num_workers, capacity=train.tokens_per_row)[rank]
    return micro_batches(batch, rank, num_workers, train.micro_batch_size)


def micro_batches(batch: Many[int], rank: int, num_workers: int, micro_batch_size: int) -> list[list[int]]:
    """One worker's share of a batch, cut up."""
    largest_share = -(-len(batch) // num_workers)
    share = list(batch[rank::num_workers])
    return [share[i : i + micro_batch_size] for i in range(0, largest_share, micro_batch_size)]


def make_batch(sequences: Many[Sequence], train: Train, pad_id: int) -> Batch:
    """Sequences as tensors, in the form that `train.packing` says."""
    return packed(sequences) if train.packing else padded(sequences, pad_id)


def packed(sequences: Many[Sequence]) -> Batch:
    """One row, 1 x T, of whole sequences one behind the other."""
    input_ids: list[int] = []
    labels: list[int] = []
    weights: list[float] = []
    positions: list[int] = []
    for sequence in sequences:
        num_prompt, num_completion = len(sequence.prompt_ids), len(sequence.completion_ids)
        input_ids += [*sequence.prompt_ids, *sequence.completion_ids]
        labels += [*[IGNORED] * num_prompt, *sequence.completion_ids]
        labels[len(positions)] = IGNORED  # nothing of its own stands before the first token
        weights += [*[0.0] * num_prompt, *[sequence.weight] * num_completion]
        positions += range(num_prompt + num_completion)
    return Batch(*(torch.tensor([row]) for row in (input_ids, labels, weights, positions)))


def padded(sequences: Many[Sequence], pad_id: int) -> Batch:
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


def losses_by_sequence(losses_BT: torch.Tensor, sequences: Many[Sequence], train: Train) -> torch.Tensor:
    """The mean loss of each sequence's trained tokens, in nats."""
    rows = losses_BT[0].split([s.length for s in sequences]) if train.packing else losses_BT
    return torch.stack([row.sum() / len(s.completion_ids) for row, s in zip(rows, sequences, strict=True)])
