"""The next token of every row of a batch, each with a random stream and knobs of its own.

A row is a completion that is being made. Its tokens depend on its prompt, its knobs and its seed, and on nothing that is
computed beside it, but for the rounding of the model's own arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.generation.logits_process import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

Alternative = tuple[int, float]
"""A token and its log-probability."""


@dataclass(eq=False)
class Row:
    """One completion: how it is sampled, and what there is of it."""

    seed: int
    max_tokens: int
    ends: frozenset[int]  # tokens that end it
    temperature: float = 1.0  # 0: always the likeliest token
    top_p: float = 1.0
    top_k: int = 0  # only the likeliest k tokens; 0: all
    min_p: float = 0.0  # only tokens of at least this share of the likeliest one's probability
    num_alternatives: int = 0  # likeliest tokens that are kept at every place
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)  # at the model's own temperature of 1
    alternatives: list[list[Alternative]] = field(default_factory=list)
    finish_reason: str | None = None
    _stream: torch.Generator | None = None

    @property
    def cuts(self) -> tuple[float, int, float]:
        """What leaves tokens out, in the order in which vLLM does."""
        return self.min_p, self.top_k, self.top_p

    def stream(self, device: torch.device) -> torch.Generator:
        if self._stream is None:
            self._stream = torch.Generator(device).manual_seed(self.seed)
        return self._stream

    def add(self, token: int, logprob: float) -> None:
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if token in self.ends:
            self.finish_reason = "stop"
        elif len(self.tokens) >= self.max_tokens:
            self.finish_reason = "length"


def add_next_tokens(logits_BV: torch.Tensor, rows: Sequence[Row]) -> None:
    """Sample one token for every row, and add it to the row with its log-probability.

    Adds Gumbel noise to the log-probabilities and takes the largest, which is exact sampling (the Gumbel-max trick).
    """
    logits_BV = logits_BV.float()
    logprobs_BV = logits_BV.log_softmax(-1)
    temperatures_B = torch.tensor([row.temperature or 1.0 for row in rows], device=logits_BV.device)
    scores_BV = logits_BV / temperatures_B[:, None]
    for cuts in {row.cuts for row in rows}:
        where = [i for i, row in enumerate(rows) if row.cuts == cuts]
        for leave_out in _warpers(*cuts):
            scores_BV[where] = leave_out(None, scores_BV[where])
    noise_BV = torch.ones_like(scores_BV)
    for row, noise_V in zip(rows, noise_BV, strict=True):
        if row.temperature:
            noise_V.exponential_(generator=row.stream(logits_BV.device))
    tokens_B = (scores_BV - noise_BV.log()).argmax(-1)
    chosen_B = logprobs_BV.gather(1, tokens_B[:, None]).squeeze(1)
    if most := max(row.num_alternatives for row in rows):
        best = logprobs_BV.topk(min(most, logprobs_BV.shape[1]))
        for row, logprobs, tokens in zip(rows, best.values.tolist(), best.indices.tolist(), strict=True):
            if row.num_alternatives:
                row.alternatives.append(list(zip(tokens, logprobs, strict=True))[: row.num_alternatives])
    for row, token, logprob in zip(rows, tokens_B.tolist(), chosen_B.tolist(), strict=True):
        row.add(token, logprob)


def _warpers(min_p: float, top_k: int, top_p: float) -> list[Any]:
    """Functions of scores (B, V) that make those of tokens that are left out minus infinity."""
    found: list[Any] = [MinPLogitsWarper(min_p)] if min_p > 0 else []
    found += [TopKLogitsWarper(top_k)] if top_k > 0 else []
    return found + ([TopPLogitsWarper(top_p)] if top_p < 1 else [])
