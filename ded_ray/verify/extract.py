r"""Finds the final answer in a completion. Strict: an answer must be announced, and only after the thinking part.

Forms: `boxed` is the last \boxed{...}; `hashes` what follows the last '####' on its line (GSM8K); `phrase` what follows
the last 'the answer is' up to the end of its sentence.
"""

import re
from collections.abc import Sequence

_PHRASE = re.compile(r"answer\s+is:?\s*(.+?)(?:\.?\s*$|\.\s)", re.IGNORECASE | re.MULTILINE)
MAX_ANSWER_CHARS = 2_000
"""A longer answer is no answer; it would only feed the parser's worst cases."""


def final_part(completion: str) -> str:
    """What follows the thinking part; nothing when the thinking never ended."""
    _, closing, after = completion.rpartition("</think>")
    if closing:
        return "" if "<think>" in after else after
    return "" if "<think>" in completion else completion


def last_box(text: str) -> str | None:
    r"""The content of the last \boxed{...}, braces balanced; None without one, or when the last one never closes.

    An unclosed box is not an invitation to take an earlier one: the model had not finished its answer.
    """
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    start += len("\\boxed{")
    depth, position = 1, start
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1  # an escaped brace, as in a set \{1, 2\}, does not nest
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return text[start:position]
        position += 1
    return None


def extract_answer(completion: str, forms: Sequence[str]) -> str | None:
    """The announced answer, stripped, by the first form that is present; None when there is none, or an empty one."""
    text = final_part(completion)
    for form in forms:
        found: str | None = None
        if form == "boxed":
            if "\\boxed{" in text:
                return _usable(last_box(text))
        elif form == "hashes":
            if "####" in text:
                found = text.rsplit("####", 1)[1].strip().split("\n", 1)[0]
        elif matches := _PHRASE.findall(text):
            found = matches[-1]
        if usable := _usable(found):
            return usable
    return None


def _usable(answer: str | None) -> str | None:
    answer = answer.strip() if answer else ""
    return answer if 0 < len(answer) <= MAX_ANSWER_CHARS else None
