"""Multiple choice as data sets publish it: options, the right one, and how they are shown to a model."""

import random
from collections.abc import Sequence
from typing import Any

from ded_ray.records import stable_hash


def read_options(value: Any) -> tuple[list[str], list[str]] | None:
    """(texts, labels) of a list of texts (MMLU), of {"text": [...], "label": [...]} (OpenBookQA, ARC), or of a list of
    {"text", "label"}; the labels are A, B, C ... where none are given. None for anything else.
    """
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        texts, labels = value["text"], value.get("label")
    elif isinstance(value, list) and value and all(isinstance(option, dict) and "text" in option for option in value):
        texts, labels = [option["text"] for option in value], [option.get("label") for option in value]
    elif isinstance(value, list):
        texts, labels = value, None
    else:
        return None
    if not texts or len(texts) > 26 or (labels and len(labels) != len(texts)):
        return None
    if not labels or None in labels:
        labels = [letter(index) for index in range(len(texts))]
    return [str(text) for text in texts], [str(label) for label in labels]


def letter(index: int) -> str:
    return chr(ord("A") + index)


def shuffled(texts: Sequence[str], answer: str, seed: int, problem_id: str) -> tuple[list[str], str]:
    """The options in another order, the same for the same seed and problem; an answer that is a letter moves along."""
    order = list(range(len(texts)))
    random.Random(stable_hash("choices", seed, problem_id)).shuffle(order)
    if len(answer) == 1 and 0 <= ord(answer) - ord("A") < len(texts):
        answer = letter(order.index(ord(answer) - ord("A")))
    return [texts[index] for index in order], answer


def shown(prompt: str, texts: Sequence[str]) -> str:
    """The prompt with its options below it, one per line."""
    return prompt + "\n\n" + "\n".join(f"{letter(index)}. {text}" for index, text in enumerate(texts))
