"""Rewards for a good length: cosine (arXiv 2502.03373, section 4), linear (Kimi k1.5, arXiv 2501.12599, section 2.3.3)."""

import math
from collections.abc import Sequence


def cosine(num_tokens: int, *, correct: bool, max_tokens: int) -> float:
    """Correct: from 1 at no tokens down to 0 at `max_tokens`; not correct: from -1 up to 0, thinking longer pays.

    The paper's own end points hold the correctness too (2 to 1, and -10 to 0); here that is a term of its own.
    """
    so_far = min(num_tokens / max_tokens, 1.0)
    height = (1 + math.cos(math.pi * so_far)) / 2
    return height if correct else -height


def linear(nums_tokens: Sequence[int], corrects: Sequence[bool]) -> list[float]:
    """For a whole group: 0.5 for its shortest, -0.5 for its longest, linear between; not correct: at most 0.

    All of one length (or a single one): 0 for all.
    """
    shortest, longest = min(nums_tokens, default=0), max(nums_tokens, default=0)
    if shortest == longest:
        return [0.0] * len(nums_tokens)
    values = [0.5 - (num - shortest) / (longest - shortest) for num in nums_tokens]
    return [value if correct else min(0.0, value) for value, correct in zip(values, corrects, strict=True)]
