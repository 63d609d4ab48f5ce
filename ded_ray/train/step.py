"""One optimiser step over all workers: forward and backward of every row, one update, and what each sequence lost."""

from dataclasses import dataclass, replace

import torch

from ded_ray.recipe import Train
from ded_ray.train.batches import losses_by_sequence, make_batch, rows_of_worker
from ded_ray.train.loss import step_weights
from ded_ray.train.strategy import Strategy
from ded_ray.train.tokens import Tokens


@dataclass(frozen=True)
class Place:
    """Where a worker stands, and what it is to do."""

    train: Train
    rank: int
    num_workers: int
    device: torch.device
    pad_id: int


@dataclass(frozen=True)
class Step:
    """What became of a step; the same on every worker."""

    loss: float  # the weighted mean over tokens, in nats
    norm: float  # of the gradient, before clipping
    losses: list[float]  # the mean loss of each sequence, in nats, in the batch's order
    weighted_tokens: float  # the normaliser: the sum of weight x tokens
    num_tokens: int  # prompts included
    padding: float  # share of all positions of all rows that hold no token of the step, 0 to 1
    effective_size: float  # (sum of weights)^2 / sum of squares: as many equal weights say as much


def run_step(strategy: Strategy, tokens: Tokens, indices: list[int], place: Place, *, rate: float) -> Step:
    """Train on these sequences, with what this worker is to do of them."""
    loss, losses, normalizer, num_positions = _passes(strategy, tokens, indices, place, backward=True)
    norm, num_tokens = strategy.step(rate), int(tokens.lengths[indices].sum())
    weights = [float(tokens.weights[i]) for i in indices]
    squares = sum(weight * weight for weight in weights)
    return Step(
        loss, norm, losses, normalizer, num_tokens, padding=1 - num_tokens / num_positions,
        effective_size=sum(weights) ** 2 / squares if squares else 0.0,
    )  # fmt: skip


@torch.no_grad()
def loss_of(strategy: Strategy, tokens: Tokens, indices: list[int], place: Place) -> tuple[float, float]:
    """(the weighted mean loss of these sequences over all workers in nats, its normaliser), without learning from them."""
    loss, _, normalizer, _ = _passes(strategy, tokens, indices, place, backward=False)
    return loss, normalizer


def _passes(
    strategy: Strategy, tokens: Tokens, indices: list[int], place: Place, *, backward: bool
) -> tuple[float, list[float], float, int]:
    """(loss, loss of each sequence, normaliser, positions of all rows) over all workers."""
    num_trained = [int(tokens.num_trained[i]) for i in indices]
    weights, normalizer = step_weights([float(tokens.weights[i]) for i in indices], num_trained)
    # Divided here, the gradient that the head makes at once is the step's own and is not gone over again.
    weight_of = {index: weight / normalizer for index, weight in zip(indices, weights, strict=True)}
    place_of = {index: n for n, index in enumerate(indices)}
    lengths = {i: int(tokens.lengths[i]) for i in indices}
    rows = rows_of_worker(indices, lengths, place.train, rank=place.rank, num_workers=place.num_workers)
    found = torch.zeros(2 + len(indices), device=place.device)  # loss, positions, then the mean loss of each sequence
    for number, row in enumerate(rows, start=1):
        sequences = [replace(tokens[i], weight=weight_of[i]) for i in row]
        # An empty row still takes part in the collectives: any sequence, at weight 0.
        batch = make_batch(sequences or [replace(tokens[indices[0]], weight=0.0)], place.train, place.pad_id).to(
            place.device
        )
        loss, losses_BT = strategy.loss(batch, last=number == len(rows))
        if backward:
            strategy.backward(loss)
        found[0] += loss.detach()
        found[1] += batch.input_ids.numel()
        if sequences:
            found[[2 + place_of[i] for i in row]] = losses_by_sequence(losses_BT, sequences, place.train)
    torch.distributed.all_reduce(found)
    loss_of_step, num_positions, *losses = found.tolist()
    return loss_of_step, losses, normalizer, round(num_positions)
