"""What texts are compared by: their words; of scripts that leave no space between words, every character is one."""

import re
import unicodedata
from collections.abc import Iterator

_MARKUP = re.compile(r"\\(?:left|right|displaystyle|[()\[\],;:! ])|[${}~]")
_AROUND_OPERATORS = re.compile(r"\s*([-+*/=<>^])\s*")

_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")  # kana and Han

_PUNCTUATION = ".,;:!?\"'`()[]\u3002\uff0c\u3001\uff1b\uff1a\uff01\uff1f"  # the last ones wide

Words = tuple[str, ...]


def words(text: str) -> Words:
    """What is compared: words without case, punctuation at their ends, the markup of formulas, and where lines break."""
    one_form = unicodedata.normalize("NFC", text).replace("\N{MINUS SIGN}", "-").replace("\\dfrac", "\\frac").casefold()
    plain = _AROUND_OPERATORS.sub(r"\1", _MARKUP.sub("", one_form))
    return tuple(stripped for word in split(plain) if (stripped := word.strip(_PUNCTUATION)))


def split(text: str) -> list[str]:
    """Words, and single characters of Chinese and Japanese."""
    return (text if text.isascii() else _UNSPACED.sub(r" \1 ", text)).split()


def runs(said: Words, length: int) -> Iterator[Words]:
    """All runs of so many words, in order."""
    return (said[i : i + length] for i in range(len(said) - length + 1))
