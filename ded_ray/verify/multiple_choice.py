r"""Verdicts on multiple choice: the reference and the found answer may each be a letter or the option's own text.

A letter only counts where it names one option: `B`, `(b)`, `B. the Moon`, `Option B`, `\text{(B)}`. An `A` that begins a
sentence or is a symbol in a formula is none, and neither is the first of several.
"""

import re
from collections.abc import Sequence

from ded_ray.verify.extract import extract_answer
from ded_ray.verify.verdict import Verdict

_NAME = r"(?:\(([A-Za-z])\)|\[([A-Za-z])\]|([A-Za-z]))"
_PREFIX = r"(?:(?:[Tt]he )?(?:[Cc]orrect )?(?:[Oo]ption|[Cc]hoice|[Aa]nswer)(?: is)?:?\s+)?"
_BARE = re.compile(rf"{_PREFIX}{_NAME}[.:)]?(?:,? (?:because|since)\b.*)?")
_LABELLED = re.compile(rf"{_PREFIX}{_NAME}[.:)]?\s+(.+)")
_OTHER = re.compile(r"\b[A-Z]\b|\b(?:or|and|not|no|wrong|either|neither)\b")
_WRAPPER = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mathsf|bf|rm|mbox)\s*\{(.*)\}(.*)", re.DOTALL)
_MARKS = re.compile(r"\\[()\[\]]|[$*`]")


def _plain(text: str) -> str:
    r"""Without the marks of mathematics and of emphasis, one level of \text{} and white space."""
    text = " ".join(_MARKS.sub("", text).split())
    if wrapped := _WRAPPER.fullmatch(text):
        text = " ".join((wrapped.group(1) + wrapped.group(2)).split())
    return text


def choice_index(answer: str, choices: Sequence[str]) -> int | None:
    """Which option an answer means, from 0: by its letter, by the option's text, or by both; None when it means none.

    Without options any single letter counts; with them only a letter that names one, and a text beside the letter must
    be that option's. A lone letter is always the option's name, never its text.
    """
    plain = _plain(answer)
    if bare := _BARE.fullmatch(plain):
        return _index(bare, choices)
    texts = [_plain(choice) for choice in choices]
    by_text = _by_text(plain, texts)
    if by_text is not None:
        return by_text
    if labelled := _LABELLED.fullmatch(plain):
        index, text = _index(labelled, choices), labelled.group(4)
        if index is not None and (_folded(text) == _folded(texts[index]) if choices else not _OTHER.search(text)):
            return index
    return None


def _index(match: re.Match[str], choices: Sequence[str]) -> int | None:
    letter = next(group for group in match.groups()[:3] if group)
    index = ord(letter.upper()) - ord("A")
    return index if not choices or index < len(choices) else None


def _by_text(spoken: str, texts: Sequence[str]) -> int | None:
    for form in (spoken, spoken.rstrip(".")):
        if form in texts:
            return texts.index(form)
    folded = [_folded(text) for text in texts]
    return folded.index(_folded(spoken)) if folded.count(_folded(spoken)) == 1 else None  # BB Bb and Bb Bb are two options


def _folded(text: str) -> str:
    return text.casefold().rstrip(".")


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
