"""What two questions are compared by."""

import re
from collections.abc import Iterator

_MARKUP = re.compile(r"\\(?:left|right|displaystyle|[()\[\],;:! ])|[${}~]")
_AROUND_OPERATORS = re.compile(r"\s*([-+*/=<>^])\s*")

Words = tuple[str, ...]


def words(text: str) -> Words:
    """What is compared: words without case, punctuation at their ends, the markup of formulas, and where lines break."""
    plain = _AROUND_OPERATORS.sub(r"\1", _MARKUP.sub("", text.replace("\\dfrac", "\\frac").casefold()))
    return tuple(stripped for word in plain.split() if (stripped := word.strip(".,;:!?\"'`()[]")))


def runs(said: Words, length: int) -> Iterator[Words]:
    """All runs of so many words, in order."""
    return (said[i : i + length] for i in range(len(said) - length + 1))
