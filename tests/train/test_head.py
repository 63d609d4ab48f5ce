"""The fused head against plain cross-entropy in float64, and the whole loss over real architectures."""

import copy

import pytest
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from ded_ray.train import head as head_module
from ded_ray.train.attention import attention_for
from ded_ray.train.batches import packed, padded
from ded_ray.train.head import Head, weighted_head_loss
from ded_ray.train.sequences import Sequence
from ded_ray.train.student import give_weighted_loss


def plain(hidden, weight, bias, labels, weights, head):
    """The same in float64, by torch's own cross-entropy."""
    logits = hidden @ weight.t() + bias
    logits = logits * head.scale
    if head.softcap:
        logits = head.softcap * torch.tanh(logits / head.softcap)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    if head.dft:
        weights = weights * (-losses).exp().detach()
    return (losses * weights).sum(), losses


@pytest.mark.parametrize("head", [Head(), Head(scale=0.25), Head(softcap=3.0), Head(dft=True), Head(2.0, 5.0, dft=True)])
@pytest.mark.parametrize("num_positions", [0, 1, 7])
def test_loss_and_gradients_are_those_of_float64(head, num_positions, monkeypatch):
    monkeypatch.setattr(head_module, "CHUNK_ELEMENTS", 90)  # chunks of three positions
    torch.manual_seed(0)
    inputs = [torch.randn(shape, dtype=torch.float64) for shape in ((num_positions, 8), (30, 8), (30,))]
    labels, weights = torch.randint(0, 30, (num_positions,)), torch.randn(num_positions)
    exact = [tensor.clone().requires_grad_() for tensor in inputs]
    wanted, wanted_losses = plain(*exact, labels, weights.double(), head)
    (3 * wanted).backward()
    ours = [tensor.float().requires_grad_() for tensor in inputs]
    loss, losses = weighted_head_loss(ours[0], ours[1], labels, weights, bias_V=ours[2], head=head)
    (3 * loss).backward()
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5, abs=1e-6)
    torch.testing.assert_close(losses.double(), wanted_losses.detach(), rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(ours, exact, strict=True):
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_the_weight_is_summed_in_float32(monkeypatch):
    """256 chunks whose products are rounded to bf16 before they are summed lose what is small."""
    monkeypatch.setattr(head_module, "CHUNK_ELEMENTS", 16)
    torch.manual_seed(0)
    hidden, weight = torch.rand(256, 4), torch.randn(16, 4)
    labels, weights = torch.randint(0, 16, (256,)), torch.ones(256)
    exact = weight.double().requires_grad_()
    plain(hidden.double(), exact, torch.zeros(16), labels, weights.double(), Head())[0].backward()
    half = weight.bfloat16().requires_grad_()
    weighted_head_loss(hidden.bfloat16(), half, labels, weights)[0].backward()
    error = (half.grad.double() - exact.grad).norm() / exact.grad.norm()
    assert error < 0.01


SMALL = {
    "vocab_size": 500, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MODELS = [
    (Qwen3ForCausalLM, Qwen3Config(head_dim=16, tie_word_embeddings=True, **SMALL)),
    (Qwen2ForCausalLM, Qwen2Config(**SMALL)),
    (LlamaForCausalLM, LlamaConfig(**SMALL)),
    (Phi3ForCausalLM, Phi3Config(**SMALL)),
    (Gemma3ForCausalLM, Gemma3TextConfig(head_dim=16, sliding_window=8, **SMALL)),
    (Gemma2ForCausalLM, Gemma2Config(head_dim=16, sliding_window=8, query_pre_attn_scalar=16, **SMALL)),
    (CohereForCausalLM, CohereConfig(**SMALL)),
    (GraniteForCausalLM, GraniteConfig(logits_scaling=4.0, **SMALL)),
    (GPT2LMHeadModel, GPT2Config(vocab_size=500, n_embd=64, n_layer=2, n_head=4, attn_pdrop=0.0, resid_pdrop=0.0,
                                 embd_pdrop=0.0, bos_token_id=1, eos_token_id=2)),
]  # fmt: skip


def random_sequences() -> list[Sequence]:
    torch.manual_seed(1)
    shapes = [(3, 5, 1.0), (10, 30, 0.5), (1, 1, 2.0), (7, 12, -0.1)]
    return [Sequence(torch.randint(3, 500, (a,)).tolist(), torch.randint(3, 500, (b,)).tolist(), w) for a, b, w in shapes]


@pytest.fixture(params=MODELS, ids=lambda each: each[1].model_type)
def model(request):
    architecture, config = request.param
    torch.manual_seed(0)
    made = architecture(config).float()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += torch.randn_like(parameter) * 0.05
    return made.train()


def separate(model, sequences):
    """(loss, losses, model) of each sequence by itself, from the model's own logits."""
    reference = copy.deepcopy(model)
    reference.set_attn_implementation("eager")
    total, losses = 0.0, []
    for sequence in sequences:
        ids = torch.tensor([sequence.prompt_ids + sequence.completion_ids])
        logits = reference(input_ids=ids, use_cache=False).logits[0, len(sequence.prompt_ids) - 1 : -1]
        found = torch.nn.functional.cross_entropy(logits, torch.tensor(sequence.completion_ids), reduction="none")
        total, losses = total + sequence.weight * found.sum(), [*losses, found.detach()]
    total.backward()
    return float(total.detach()), torch.cat(losses), reference


def worst_gradient(model, reference) -> float:
    pairs = [(a.grad, b.grad) for a, b in zip(model.parameters(), reference.parameters(), strict=True) if b.grad is not None]
    return max(float((a - b).abs().max() / (b.abs().max() + 1e-9)) for a, b in pairs)


@pytest.mark.parametrize("attention", [None, "eager", "sdpa"])
def test_packed_is_separate(model, attention):
    sequences = random_sequences()
    wanted, wanted_losses, reference = separate(model, sequences)
    model.set_attn_implementation(attention or attention_for(model.config, use_gpu=False))
    give_weighted_loss(model)
    loss, losses = model(packed(sequences))
    loss.backward()
    assert float(loss) == pytest.approx(wanted, rel=1e-5)
    torch.testing.assert_close(losses[losses != 0], wanted_losses, rtol=1e-4, atol=1e-4)
    assert worst_gradient(model, reference) < 1e-4


def test_padded_is_separate(model):
    sequences = random_sequences()
    wanted, _, reference = separate(model, sequences)
    give_weighted_loss(model)
    loss, _ = model(padded(sequences, 0))
    loss.backward()
    assert float(loss) == pytest.approx(wanted, rel=1e-5)
    assert worst_gradient(model, reference) < 1e-4


@pytest.mark.parametrize("fault", [{}, {"use_cache": False, "attention_mask": True}], ids=["default cache", "mask of ones"])
def test_the_known_leaks_do_leak(fault):
    """What transformers does with a packed row when one of three things is not as we have it."""
    torch.manual_seed(0)
    model, batch = LlamaForCausalLM(LlamaConfig(**SMALL)).eval(), packed(random_sequences())
    arguments = {"input_ids": batch.input_ids, "position_ids": batch.position_ids, **fault}
    if "attention_mask" in fault:
        arguments["attention_mask"] = torch.ones_like(batch.input_ids)
    right = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
    assert (model(**arguments).logits - right).abs().max() > 1e-3
