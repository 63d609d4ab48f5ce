"""The check before the first step: it stops for a row that leaks and for a loss that is not the model's own."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ded_ray.errors import BadInput
from ded_ray.recipe import Train
from ded_ray.train import student
from ded_ray.train.check import check_student
from ded_ray.train.head import Head
from ded_ray.train.sequences import Sequence
from ded_ray.train.step import Place
from ded_ray.train.student import give_weighted_loss, plain_loss

TOKENS = [Sequence([3, 4, 5], [6, 7, 8, 9], 1.0), Sequence([9, 8], [7, 6, 5], 0.5)]
PLACE = Place(Train(packing=True), 0, 1, torch.device("cpu"), pad_id=0)


def small() -> LlamaForCausalLM:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=20, **shape))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter) * 0.2
    return model


class Plain:
    """A strategy of one process that has nothing but its loss."""

    def __init__(self, model) -> None:
        give_weighted_loss(model)
        self._model = model

    def loss(self, batch, *, last, plain=False):  # noqa: ARG002
        return self._model(batch, plain=plain)


class Leaking(Plain):
    """Leaves the key-value cache as transformers has it by default."""

    def __init__(self, model) -> None:
        self._model = model

    def loss(self, batch, *, last, plain=False):  # noqa: ARG002
        return plain_loss(self._model(input_ids=batch.input_ids, position_ids=batch.position_ids).logits, batch)


@pytest.mark.parametrize("attention", ["eager", "sdpa", "flex_attention"])
def test_what_is_right_passes(attention):
    model = small()
    model.set_attn_implementation(attention)
    check_student(Plain(model), TOKENS, PLACE)


def test_a_row_that_leaks_is_refused():
    with pytest.raises(BadInput, match="the sequences of a row see each other"):
        check_student(Leaking(small()), TOKENS, PLACE)


def test_a_loss_that_is_not_the_models_own_is_refused(monkeypatch):
    monkeypatch.setattr(student, "head_of", lambda *_, **__: Head(scale=0.5))
    with pytest.raises(BadInput, match="the fused loss is not the loss of this model's own logits"):
        check_student(Plain(small()), TOKENS, PLACE)
