"""Verdicts on multiple choice: the reference and the found answer may each be a letter or the option's own text."""

import re
from collections.abc import Sequence

from ded_ray.verify.extract import extract_answer
from ded_ray.verify.verdict import Verdict

_LETTER = re.compile(r"\(?([A-Za-z])\)?(?:[.:)]\s*.*)?", re.DOTALL)
_WRAPPER = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{(.*)\}", re.DOTALL)


def choice_letter(answer: str, choices: Sequence[str]) -> str | None:
    """The upper-case letter that an answer means: by an option's text, else by 'B', '(b)', 'B. some text'.

    Without options any single letter counts; with them only a letter that names one.
    """
    text = answer.strip().strip("$").strip()
    if wrapped := _WRAPPER.fullmatch(text):
        text = wrapped.group(1).strip()
    folded = [" ".join(choice.split()).casefold() for choice in choices]
    if (spoken := " ".join(text.split()).casefold().rstrip(".")) and spoken in folded:
        return chr(ord("A") + folded.index(spoken))
    if match := _LETTER.fullmatch(text):
        letter = match.group(1).upper()
        if not choices or ord(letter) - ord("A") < len(choices):
            return letter
    return None


class ChoiceVerifier:
    """Needs no child: nothing here can run for long."""

    def __init__(self, answer_forms: Sequence[str]) -> None:
        self._forms = answer_forms

    def verify(self, completion: str, answer: str, choices: list[str]) -> Verdict:
        wanted = choice_letter(answer, choices)
        extracted = extract_answer(completion, self._forms)
        if wanted is None:
            return Verdict("unverifiable", extracted)
        if extracted is None:
            return Verdict("no_answer")
        return Verdict("correct" if choice_letter(extracted, choices) == wanted else "wrong", extracted)

    def close(self) -> None:
        pass
