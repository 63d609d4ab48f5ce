"""Multiple choice: how options are shown to a model, and in which order."""

import random
import re
from collections.abc import Sequence

from ded_ray.files.values import letter
from ded_ray.records import stable_hash

_SPEAKS_OF_OTHERS = re.compile(
    r"\b(?:all|none|both|neither|either|any) of (?:the |these|those)|\babove\b|\b[A-E] and [A-E]\b", re.IGNORECASE
)


def shuffled(texts: Sequence[str], answer: str, seed: int, problem_id: str) -> tuple[list[str], str]:
    """The options in another order, the same for the same seed and problem; an answer that is a letter moves along.

    Options that speak of the others ("none of the above", "A and C") keep theirs: elsewhere they would be nonsense.
    """
    if any(_SPEAKS_OF_OTHERS.search(text) for text in texts):
        return list(texts), answer
    order = list(range(len(texts)))
    random.Random(stable_hash("choices", seed, problem_id)).shuffle(order)
    if len(answer) == 1 and 0 <= ord(answer) - ord("A") < len(texts):
        answer = letter(order.index(ord(answer) - ord("A")))
    return [texts[index] for index in order], answer


def shown(prompt: str, texts: Sequence[str]) -> str:
    """The prompt with its options below it, one per line."""
    return prompt + "\n\n" + "\n".join(f"{letter(index)}. {text}" for index, text in enumerate(texts))
