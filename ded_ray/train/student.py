"""The student as it is trained: any causal language model, whose forward pass gives the weighted loss of a batch.

    model = AutoModelForCausalLM.from_pretrained(path)
    give_weighted_loss(model)
    loss, losses_BT = model(batch)
    with answering(model):
        logits_BV = model(columns)

Head and loss are inside of the model's own forward pass, because a wrapper (DDP, FSDP2, ZeRO-3) gathers shards and
catches gradients there and nowhere else.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ded_ray.models.key_values import CausalModel, KeyValues
from ded_ray.train.batches import Batch
from ded_ray.train.head import Head, weighted_head_loss
from ded_ray.train.loss import IGNORED, token_losses, weighted_token_loss


class Targets:
    """What the head predicts: N labels and their weights. Not a dataclass, for the same reason as Batch."""

    def __init__(self, labels_N: torch.Tensor, weights_N: torch.Tensor) -> None:
        self.labels_N, self.weights_N = labels_N, weights_N


class Columns:
    """What an answer goes on from: the next columns of some rows, and what was computed before. Not a dataclass either."""

    def __init__(self, ids_BT: torch.Tensor, is_token_BC: torch.Tensor, key_values: KeyValues) -> None:
        self.ids_BT = ids_BT
        self.is_token_BC = is_token_BC  # of all columns, those before included; false is padding
        self.key_values = key_values


def give_weighted_loss(model: Any, *, dft: bool = False) -> None:
    """Change the model's forward pass into Batch -> (loss, losses_BT), and Columns -> logits_BV of the last column.

    `loss` is the sum of weight x loss; `losses_BT` are the losses of every token in nats without gradient, 0 where the
    label is IGNORED. The model's state, its names and `save_pretrained` stay as they are.
    """
    head, base, own_forward = model.get_output_embeddings(), model.base_model, model.forward
    own_head_forward = head.forward
    style, known = head_of(model, dft=dft), set(inspect.signature(base.forward).parameters)
    causal = CausalModel(model, own_forward)

    def head_forward(hidden: torch.Tensor, targets: Targets | None = None) -> Any:
        if targets is None:
            return own_head_forward(hidden)
        return weighted_head_loss(
            hidden, head.weight, targets.labels_N, targets.weights_N, bias_V=getattr(head, "bias", None), head=style
        )

    def forward(batch: Batch | Columns, *, plain: bool = False) -> tuple[torch.Tensor, torch.Tensor] | torch.Tensor:
        if isinstance(batch, Columns):
            return causal(batch.ids_BT, batch.is_token_BC, batch.key_values)
        arguments = {"position_ids": batch.position_ids, "use_cache": False}
        arguments = {name: value for name, value in arguments.items() if name in known}
        if plain:
            return plain_loss(own_forward(input_ids=batch.input_ids, **arguments).logits, batch)
        hidden_BTD = base(batch.input_ids, **arguments)[0]
        # The hidden state at t predicts the token at t + 1.
        labels_BT, weights_BT = batch.labels[:, 1:], batch.weights_BT[:, 1:]
        trained_BT = labels_BT != IGNORED
        targets = Targets(labels_BT[trained_BT], weights_BT[trained_BT])
        loss, losses_N = head(hidden_BTD[:, :-1][trained_BT], targets)
        losses_BT = torch.zeros_like(batch.weights_BT)
        losses_BT[:, 1:][trained_BT] = losses_N
        return loss, losses_BT

    head.forward = head_forward
    model.forward = forward


@contextmanager
def answering(model: Any) -> Iterator[None]:
    """The model as it is when it answers: nothing dropped out, and an attention that knows keys and values."""
    config = model.config
    trained_with = config._attn_implementation
    config._attn_implementation = "sdpa" if model._supports_sdpa else "eager"
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train()
        config._attn_implementation = trained_with


def plain_loss(logits_BTV: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The same (loss, losses_BT) from logits."""
    losses_BT = token_losses(logits_BTV, batch.labels)
    return weighted_token_loss(losses_BT, batch.weights_BT), losses_BT.detach()


def head_of(model: Any, *, dft: bool) -> Head:
    """What this model's family does with its logits."""
    config = model.config.get_text_config()
    scale = getattr(config, "logit_scale", None) or getattr(config, "lm_head_multiplier", None) or 1.0
    if divisor := getattr(config, "logits_scaling", None):  # Granite
        scale /= divisor
    return Head(scale=scale, softcap=getattr(config, "final_logit_softcapping", None), dft=dft)
