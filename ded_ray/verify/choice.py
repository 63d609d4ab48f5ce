r"""Verdicts on multiple choice: the reference and the found answer may each be a letter or the option's own text.

A letter only counts where it stands for an option by itself: `B`, `(b)`, `B. the Moon`, `Option B`, `\text{(B)}`. An `A`
that begins a sentence or is a symbol in a formula is none.
"""

import re
from collections.abc import Sequence

from ded_ray.verify.extract import extract_answer
from ded_ray.verify.verdict import Verdict

_BARE = re.compile(r"[\[(]?([A-Za-z])[\])]?[.:)]?")
_LETTER = re.compile(
    r"(?:(?:the )?(?:correct )?(?:option|choice|answer)(?: is)?:?\s+)?[\[(]?([A-Za-z])[\])]?"
    r"(?:[.:)]\s*.*|,?\s+(?:because|since)\b.*)?",
    re.DOTALL | re.IGNORECASE,
)
_WRAPPER = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mathsf|bf|rm|mbox)\s*\{(.*)\}(.*)", re.DOTALL)
_MARKS = re.compile(r"\\[()\[\]]|[$*`]")


def _plain(text: str) -> str:
    r"""Without the marks of mathematics and of emphasis, one level of \text{} and white space."""
    text = " ".join(_MARKS.sub("", text).split())
    if wrapped := _WRAPPER.fullmatch(text):
        text = " ".join((wrapped.group(1) + wrapped.group(2)).split())
    return text


def choice_index(answer: str, choices: Sequence[str]) -> int | None:
    """Which option an answer means, from 0: by its letter alone, by the option's text, by a letter and more; else None.

    Without options any single letter counts; with them only a letter that names one. A lone letter is always the
    option's name, never its text.
    """
    plain = _plain(answer)
    by_letter = _BARE.fullmatch(plain)
    if plain and by_letter is None:
        texts = [_plain(choice) for choice in choices]
        for spoken in (plain, plain.rstrip(".")):
            if spoken in texts:
                return texts.index(spoken)
        folded = [text.casefold().rstrip(".") for text in texts]
        if folded.count(spoken.casefold()) == 1:  # BB Bb and Bb Bb are two options
            return folded.index(spoken.casefold())
    by_letter = by_letter or _LETTER.fullmatch(plain)
    index = ord(by_letter.group(1).upper()) - ord("A") if by_letter else None
    return index if index is not None and (not choices or index < len(choices)) else None


class ChoiceVerifier:
    """Needs no child: nothing here can run for long."""

    def __init__(self, answer_forms: Sequence[str]) -> None:
        self._forms = answer_forms

    def verify(self, completion: str, answer: str, choices: list[str]) -> Verdict:
        wanted = choice_index(answer, choices)
        extracted = extract_answer(completion, self._forms)
        if wanted is None:
            return Verdict("unverifiable", extracted)
        if extracted is None:
            return Verdict("no_answer")
        found = choice_index(extracted, choices)
        same = found == wanted or (found is not None and choices and choices[found] == choices[wanted])
        return Verdict("correct" if same else "wrong", extracted)

    def close(self) -> None:
        pass
