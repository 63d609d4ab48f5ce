"""Verdicts on mathematical answers: a fast path for plain numbers and equal strings, Math-Verify in a child for the rest.

The fast path only speaks where Math-Verify would say the same; the child can be killed, so that no answer can hang
the worker, and a verdict that was not reached in time is `timed_out`, never `wrong`.
"""

import re
from fractions import Fraction

from ded_ray.recipe import Verify
from ded_ray.records import Status
from ded_ray.verify.child import Child, ChildCrashed, ChildTimedOut
from ded_ray.verify.extract import extract_answer
from ded_ray.verify.math.references import is_verifiable_reference
from ded_ray.verify.math.words import as_mathematics, compare_words
from ded_ray.verify.signs import readable
from ded_ray.verify.verdict import Verdict

_INTEGER = re.compile(r"[+-]?(?:\d{1,15}|\d{1,3}(?:,\d{3}){1,4})", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,12}\.\d{1,12}", re.ASCII)
_FRACTION = re.compile(r"([+-]?)(?:\\[dt]?frac\{(\d{1,12})\}\{(\d{1,12})\}|(\d{1,12})/(\d{1,12}))", re.ASCII)


def plain_number(text: str) -> Fraction | None:
    """The exact value of a plain integer (1,234 too), decimal or fraction; None for anything else."""
    text = text.strip().strip("$").strip()
    if _INTEGER.fullmatch(text):
        return Fraction(text.replace(",", ""))
    if _DECIMAL.fullmatch(text):
        return Fraction(text)
    if match := _FRACTION.fullmatch(text):
        sign, latex_top, latex_bottom, top, bottom = match.groups()
        denominator = int(latex_bottom or bottom)
        if denominator:
            return Fraction(int(sign + (latex_top or top)), denominator)
    return None


def fast_verdict(extracted: str, answer: str) -> bool | None:
    """True or False where it is certain without a parser, else None."""
    if extracted == answer.strip():
        return True
    found, wanted = plain_number(extracted), plain_number(answer)
    if found is None or wanted is None:
        return None
    if found == wanted:
        return True
    if found.denominator == wanted.denominator == 1:
        return False
    # Math-Verify compares rounded numbers: close ones are its business.
    return False if abs(found - wanted) > Fraction(1, 1000) * max(Fraction(1), abs(wanted)) else None


class MathVerifier:
    """One child; it gets ready while the fast path already answers."""

    def __init__(self, config: Verify) -> None:
        self._forms, self._timeout = config.answer_forms, config.timeout_seconds
        self._child = Child("ded_ray.verify.math.child", config.memory_bytes, config.cpu_seconds)

    def verify(self, completion: str, answer: str, choices: list[str]) -> Verdict:
        extracted = extract_answer(completion, self._forms)
        if not is_verifiable_reference(answer):
            return Verdict("unverifiable", extracted)
        if extracted is None:
            return Verdict("no_answer")
        return Verdict(self._status(extracted, readable(answer)), extracted)

    def _status(self, found: str, wanted: str) -> Status:
        found_sign, wanted_sign = as_mathematics(found), as_mathematics(wanted)
        status = compare_words(found_sign, wanted_sign)
        if status is not None:
            return status
        equal = fast_verdict(found_sign, wanted_sign)
        if equal is None:
            try:
                equal = self._child.ask({"extracted": found, "answer": wanted}, self._timeout)
            except ChildTimedOut:
                return "timed_out"
            except ChildCrashed:
                return "crashed"
        if equal is None:
            return "unverifiable"
        return "correct" if equal else "wrong"

    def close(self) -> None:
        self._child.stop()
