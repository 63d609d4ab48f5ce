"""What a rule is shown."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    completion: str
    num_tokens: int  # in the student's tokens
    question: str


Case = tuple[tuple[str, int, str, dict[str, Any]], bool]
"""((completion, its number of tokens, question, knobs of Quality), is it dropped?)"""
