"""Completions that begin and end at any time are those of `generate`, for models of many kinds."""

import asyncio
import time

import pytest
import torch
from transformers import AutoModelForCausalLM as Auto
from transformers import (
    BloomConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    Lfm2Config,
    LlamaConfig,
    MambaConfig,
    Qwen3Config,
    Qwen3NextConfig,
)

from ded_ray.generate.engines import continuous
from ded_ray.generate.engines.attention import use_grouped_attention
from ded_ray.generate.engines.continuous import ContinuousBatch, steps
from ded_ray.models.sampling import Row, add_next_tokens

VOCABULARY = 96
POSITIONS = 64
PROMPTS = [[5, 6, 7], [9], list(range(10, 50)), [3, 1, 4, 1, 5, 9, 2, 6], list(range(60, 90)), [7, 7]]
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 3}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 48}
CONFIGS = {
    "qwen3": lambda: Qwen3Config(**SIZES, **HEADS),
    "llama": lambda: LlamaConfig(**SIZES, **HEADS),
    "sliding window": lambda: Gemma3TextConfig(
        **SIZES, **HEADS, sliding_window=8, layer_types=["sliding_attention", "full_attention", "sliding_attention"]
    ),
    "learnt positions": lambda: GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4),
    "alibi": lambda: BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4),
    "gpt-neox": lambda: GPTNeoXConfig(**SIZES, num_attention_heads=4, intermediate_size=48),
    "state space": lambda: MambaConfig(**SIZES, state_size=8),
    "convolutions and attention": lambda: Lfm2Config(
        **SIZES, **HEADS, full_attn_idxs=[1], layer_types=["conv", "full_attention", "conv"]
    ),
    "linear and full attention": lambda: Qwen3NextConfig(
        **SIZES, **HEADS, layer_types=["linear_attention", "full_attention", "linear_attention"], num_experts=4,
        num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=16, linear_num_value_heads=4,
        linear_num_key_heads=2, linear_key_head_dim=8, linear_value_head_dim=8,
    ),
}  # fmt: skip


def made(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = Auto.from_config(CONFIGS[kind]()).eval()
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = None
    for parameter in model.parameters():  # far from each other, so that rounding cannot change the likeliest token
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def greedy(length: int) -> Row:
    return Row(seed=0, max_tokens=length, ends=frozenset(), temperature=0)


async def finished(batch: ContinuousBatch, prompt: list[int], rows: list[Row], after: float = 0) -> None:
    await asyncio.sleep(after)
    async for _ in steps([batch.submit(prompt, rows)]):
        pass


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_tokens_are_those_of_generate(kind, monkeypatch):
    monkeypatch.setattr(continuous, "PREFILL_TOKENS", 64)  # the longest prompts come in pieces
    model, plain = made(kind), made(kind)
    use_grouped_attention(model)
    batch = ContinuousBatch(model, max_rows=5, max_bytes=2**30)
    rows = [[greedy(6 + 5 * i), greedy(3 + 2 * i)] for i in range(len(PROMPTS))]

    async def together():
        await asyncio.gather(
            *[finished(batch, p, r, after=0.02 * i) for i, (p, r) in enumerate(zip(PROMPTS, rows, strict=True))]
        )

    asyncio.run(together())
    for prompt, (long, short) in zip(PROMPTS, rows, strict=True):
        with torch.no_grad():
            wanted = plain.generate(torch.tensor([prompt]), max_new_tokens=len(long.tokens), do_sample=False)
        assert long.tokens == wanted[0, len(prompt) :].tolist()
        assert short.tokens == long.tokens[: len(short.tokens)]
        assert (len(long.tokens), len(short.tokens)) == (long.max_tokens, short.max_tokens)


def sampled(batch: ContinuousBatch) -> list[list[int]]:
    async def together():
        rows = [
            [Row(10 * i + j, 40, frozenset(), temperature=0.7 + i / 10, top_p=1 - i / 20) for j in range(3)]
            for i in range(6)
        ]
        await asyncio.gather(*[finished(batch, prompt, own) for prompt, own in zip(PROMPTS, rows, strict=True)])
        return [row.tokens for own in rows for row in own]

    return asyncio.run(together())


def test_rows_that_made_room_go_on_with_the_same_tokens():
    model = made("qwen3")
    plenty = ContinuousBatch(model, max_rows=64, max_bytes=2**30)
    scarce = ContinuousBatch(model, max_rows=64, max_bytes=3 * 8 * 2 * 2 * 4 * 300)  # 300 tokens of three layers
    assert sampled(plenty) == sampled(scarce)


def test_a_request_that_is_left_is_not_computed_further():
    async def leave():
        batch = ContinuousBatch(made("llama"), max_rows=8, max_bytes=2**30)
        long = [greedy(100_000)]
        asked = batch.submit([1, 2, 3], long, each_step=True)
        stepping = steps([asked])
        await anext(stepping)
        await stepping.aclose()
        await finished(batch, [4], [greedy(2)])
        await asyncio.sleep(0.1)
        assert (batch.num_running, batch.num_waiting) == (0, 0)
        assert long[0].finish_reason == "cancelled" and len(long[0].tokens) < 50

    asyncio.run(leave())


def test_a_late_request_has_its_first_token_within_three_steps():
    async def ask_late():
        batch = ContinuousBatch(made("llama"), max_rows=64, max_bytes=2**30)
        long = [[greedy(100_000)] for _ in range(63)]
        running = [batch.submit([1 + i], rows) for i, rows in enumerate(long)]
        while not all(rows[0].tokens for rows in long):
            await asyncio.sleep(0.01)
        late = [greedy(1)]
        before = len(long[0][0].tokens)
        await finished(batch, [4, 5], late)
        num_steps = len(long[0][0].tokens) - before
        for asked in running:
            asked.cancel()
        return num_steps

    assert asyncio.run(ask_late()) <= 3


def test_what_the_model_raises_reaches_who_waits_and_others_go_on():
    async def fail():
        batch = ContinuousBatch(made("learnt positions"), max_rows=8, max_bytes=2**30)
        with pytest.raises(IndexError):
            await finished(batch, [VOCABULARY + 5], [greedy(3)])  # no such token
        rows = [greedy(3)]
        await finished(batch, [1], rows)
        return rows[0].tokens

    assert len(asyncio.run(fail())) == 3


@pytest.mark.parametrize("length", [POSITIONS - 10, POSITIONS + 1], ids=["while it runs", "in its prompt"])
def test_what_fails_fails_alone(length):
    """The model knows too few positions for one request among others, which have the tokens that they have without it."""

    async def ask(lengths):
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=POSITIONS)
        batch = ContinuousBatch(Auto.from_config(config).eval(), max_rows=64, max_bytes=2**30)
        rows = [[Row(10 * i + j, 30, frozenset()) for j in range(2)] for i in range(len(lengths))]
        asked = [finished(batch, [5] * prompt, own, after=0.005 * (i // 2))
                 for i, (prompt, own) in enumerate(zip(lengths, rows, strict=True))]  # fmt: skip
        errors = await asyncio.gather(*asked, return_exceptions=True)
        late = [Row(1, 5, frozenset())]
        await finished(batch, [1], late)
        return errors, [[row.tokens for row in own] for own in [*rows, late]]

    fine, alone = asyncio.run(ask([3, 4, 2, 7]))
    errors, beside = asyncio.run(ask([3, 4, 2, 7, length]))
    assert fine == [None] * 4 and errors[:4] == [None] * 4
    assert isinstance(errors[4], IndexError)
    assert beside.pop(4) and beside == alone


def test_the_likeliest_tokens_are_kept_where_they_are_asked_for():
    rows = [Row(seed=1, max_tokens=4, ends=frozenset(), num_alternatives=3), greedy(4)]
    asyncio.run(_finished_alone(rows))
    assert [len(best) for best in rows[0].alternatives] == [3] * 4 and rows[1].alternatives == []
    for logprob, best in zip(rows[0].logprobs, rows[0].alternatives, strict=True):
        assert best[0][1] >= max(logprob, best[1][1]) and best[1][1] >= best[2][1]


async def _finished_alone(rows: list[Row]) -> None:
    await finished(ContinuousBatch(made("llama"), max_rows=8, max_bytes=2**30), [1, 2], rows)


@pytest.mark.parametrize("cut", [{"top_k": 1}, {"min_p": 1.0}, {"top_p": 1e-9}, {"top_k": 1, "min_p": 0.5, "top_p": 0.5}])
def test_where_all_but_the_likeliest_are_left_out_it_is_chosen(cut):
    rows = [Row(3, 12, frozenset(), temperature=5.0, **cut), greedy(12), Row(3, 12, frozenset(), temperature=5.0)]
    asyncio.run(_finished_alone(rows))
    assert rows[0].tokens == rows[1].tokens != rows[2].tokens


def test_what_is_left_out_is_as_asked_and_a_seed_repeats():
    def sample(**cut):
        logits_BV = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0]).expand(400, 5)
        rows = [Row(seed, 1, frozenset(), temperature=2.0, **cut) for seed in range(400)]
        add_next_tokens(logits_BV, rows)
        return [row.tokens[0] for row in rows]

    assert set(sample()) == {0, 1, 2, 3, 4}
    assert set(sample(top_k=3)) == {0, 1, 2} and set(sample(top_k=99)) == {0, 1, 2, 3, 4}
    assert set(sample(min_p=0.3)) == {0, 1, 2}, "at this temperature the third has a share of exp(-1), the fourth exp(-1.5)"
    assert sample(top_k=3) == sample(top_k=3) != sample(top_k=4)
    everything, three = sample(), sample(top_k=3)
    assert all(a == b for a, b in zip(everything, three, strict=True) if a < 3), "the random stream is the same"


def test_time_is_not_spent_when_nothing_is_asked():
    ContinuousBatch(made("llama"), max_rows=8, max_bytes=2**30)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.2
