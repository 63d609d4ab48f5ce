"""Remakes the shipped models: `python -m ded_ray.tiny.make [NAME ...] [--out FOLDER]`.

Each model is a Qwen3-shaped language model over bytes, trained from random weights on its own corpus with a fixed
seed. Takes 15-40 minutes per model on two cores; the result is committed, so that no user ever has to wait for it.
The head size is 32 because that is the smallest that every engine supports.
"""

import argparse
import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from ded_ray.models.load import TINY_MODELS_FOLDER
from ded_ray.tiny.problems import FAMILIES
from ded_ray.tiny.styles import STYLES

CONTEXT = 2048
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class Part:
    """A share of a model's training corpus: chains in one style, slipping at some rate, or another family's answers."""

    share: float
    family: str = "chain"
    style: str = "careful"
    slip_rate: float = 0.0


OTHER_FAMILIES = (Part(0.12, "reverse"), Part(0.12, "sort"), Part(0.08, "larger"))


@dataclass(frozen=True)
class Recipe:
    parts: tuple[Part, ...]
    num_layers: int
    num_steps: int
    seed: int
    difficulty: tuple[int, int] = (2, 10)


# Candidate teachers differ in accuracy (slip rate), verbosity and style. The student has met every style in a
# corpus that is often wrong and often guesses: it is able, but unreliable.
RECIPES = {
    "careful": Recipe((Part(0.68, slip_rate=0.01), *OTHER_FAMILIES), num_layers=3, num_steps=3000, seed=1),
    "terse": Recipe((Part(0.68, style="terse", slip_rate=0.002), *OTHER_FAMILIES), num_layers=3, num_steps=4000, seed=2),
    "rambling": Recipe(
        (Part(0.68, style="rambling", slip_rate=0.03), *OTHER_FAMILIES), num_layers=3, num_steps=1200, seed=3
    ),
    "student": Recipe(
        (
            Part(0.34, slip_rate=0.10),
            Part(0.08, style="rambling", slip_rate=0.10),
            Part(0.06, style="terse", slip_rate=0.10),
            Part(0.20, style="guess"),
            *OTHER_FAMILIES,
        ),
        num_layers=2,
        num_steps=4000,
        seed=4,
    ),
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, four chat markers, and three whole tokens (think tags, the opening box) that keep sequences short."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    tokenizer = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>", "\\boxed{")])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def make_model(vocab_size: int, num_layers: int, tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Qwen3ForCausalLM(config)


def corpus_text(recipe: Recipe, rng: random.Random, progress: float) -> tuple[str, str]:
    """One (prompt, solution) of the corpus; chains grow longer over the first fifth of the training."""
    part = rng.choices(recipe.parts, [p.share for p in recipe.parts])[0]
    if part.family != "chain":
        prompt, answer = FAMILIES[part.family](rng, rng.randint(3, 8))
        return prompt, f"\\boxed{{{answer}}}"
    low, high = recipe.difficulty
    longest = min(high, low + math.ceil((high - low) * progress * 5))
    prompt, _ = FAMILIES["chain"](rng, rng.randint(low, longest))
    return prompt, STYLES[part.style](prompt, part.slip_rate, rng)


def batch_of(
    texts: list[tuple[str, str]], tokenizer: PreTrainedTokenizerFast
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(input ids, attention mask, labels), each B x T, padded right; the loss is on the solution and its end token."""
    rows = []
    for prompt, solution in texts:
        messages = [{"role": "user", "content": prompt}]
        head = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        tail = [*tokenizer.encode(solution, add_special_tokens=False), tokenizer.eos_token_id]
        rows.append((head, tail))
    length = max(len(head) + len(tail) for head, tail in rows)
    ids = torch.full((len(rows), length), tokenizer.pad_token_id)
    labels = torch.full((len(rows), length), -100)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    for i, (head, tail) in enumerate(rows):
        size = len(head) + len(tail)
        ids[i, :size] = torch.tensor(head + tail)
        labels[i, len(head) : size] = torch.tensor(tail)
        mask[i, :size] = 1
    return ids, mask, labels


def make(name: str, out: Path, batch_size: int = 64, peak_learning_rate: float = 3e-3) -> None:
    """Train one model from random weights and save it, in half precision, as a Hugging Face folder."""
    recipe = RECIPES[name]
    torch.manual_seed(recipe.seed)
    rng = random.Random(recipe.seed)
    tokenizer = make_tokenizer()
    model = make_model(len(tokenizer), recipe.num_layers, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    started, losses = time.monotonic(), []
    for step in range(recipe.num_steps):
        progress = step / recipe.num_steps
        warm_up, cool_down = min(1.0, (step + 1) / 100), 0.5 * (1 + math.cos(math.pi * progress))
        optimizer.param_groups[0]["lr"] = peak_learning_rate * warm_up * max(cool_down, 0.01)
        texts = [corpus_text(recipe, rng, progress) for _ in range(batch_size)]
        ids, mask, labels = batch_of(texts, tokenizer)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            print(json.dumps({"model": name, "step": step + 1, "loss": round(sum(losses[-100:]) / 100, 4),
                              "seconds": round(time.monotonic() - started)}), flush=True)  # fmt: skip
    model.generation_config.update(do_sample=True, temperature=1.0, top_k=0, top_p=1.0)
    model.half().save_pretrained(out / name)
    tokenizer.save_pretrained(out / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(RECIPES), help=f"of {', '.join(RECIPES)}; all when left out")
    parser.add_argument("--out", type=Path, default=TINY_MODELS_FOLDER)
    arguments = parser.parse_args()
    for name in arguments.names:
        make(name, arguments.out)


if __name__ == "__main__":
    main()
