"""Whether the user's own model, under their own attention, trains on what it should: asked once, before the first step.

A packed row that leaks from one sequence into the next trains without a word (a default key-value cache, a mask of ones,
or several rows under flash attention do that in transformers 5); so does a fused loss that leaves out what a model family
does with its logits.
"""

from dataclasses import replace

import torch

from ded_ray.errors import BadInput
from ded_ray.train.batches import Batch, make_batch
from ded_ray.train.sequences import Sequence
from ded_ray.train.step import Place
from ded_ray.train.strategy import Strategy
from ded_ray.train.tokens import Tokens

MAX_TOKENS = 64
LEAK = 1e-4
"""In nats. Nothing of what stands before may change a loss at all; kernels add the rest."""
DIFFERENCE = {torch.float32: 1e-3, torch.bfloat16: 0.2}
"""In nats, the largest of a token between two ways to compute the same loss."""


@torch.no_grad()
def check_student(strategy: Strategy, tokens: Tokens, place: Place) -> None:
    """Raise BadInput unless the loss is the model's own, and sequences in a row are blind to each other. A collective."""
    train = place.train
    first, second = _short(tokens[0]), _short(tokens[len(tokens) - 1])
    batch = make_batch([first, second], train, place.pad_id).to(place.device)
    tolerance = DIFFERENCE[torch.bfloat16 if train.in_bf16 else torch.float32]
    losses_BT = _losses(strategy, batch)
    if (losses_BT - _losses(strategy, batch, plain=True)).abs().max() > tolerance:
        raise BadInput("train: the fused loss is not the loss of this model's own logits; please report its model_type")
    if not train.packing:
        return
    other = replace(first, prompt_ids=first.prompt_ids[::-1], completion_ids=first.completion_ids[::-1])
    if other == first:
        other = replace(first, prompt_ids=[token + 1 if token == 0 else token - 1 for token in first.prompt_ids])
    after_other = _losses(strategy, make_batch([other, second], train, place.pad_id).to(place.device))[0, first.length :]
    alone = _losses(strategy, make_batch([second], train, place.pad_id).to(place.device))[0]
    packed = losses_BT[0, first.length :]
    if (packed - after_other).abs().max() > LEAK or (packed - alone).abs().max() > tolerance:
        raise BadInput(
            "train.packing: under this model and attention the sequences of a row see each other; "
            "set train.packing: false, or another train.attention"
        )


def _losses(strategy: Strategy, batch: Batch, *, plain: bool = False) -> torch.Tensor:
    return strategy.loss(batch, last=True, plain=plain)[1].float()


def _short(sequence: Sequence) -> Sequence:
    return Sequence(sequence.prompt_ids[:MAX_TOKENS], sequence.completion_ids[:MAX_TOKENS], 1.0)
