r"""The child of the math verifier: Math-Verify's strict form on one pair of answers at a time.

Its own timeouts are signals, and are off: the parent kills this process instead. `raise_on_error` is on, because
Math-Verify otherwise turns its failures into False, that is into `wrong`.
"""

import logging
import re

from math_verify import LatexExtractionConfig, parse, verify

from ded_ray.verify.child import serve
from ded_ray.verify.math.forms import (
    are_far_apart,
    as_interval,
    based_number,
    is_inequality,
    plainer,
    without_modulus,
    without_unit,
)

_BOXED = [LatexExtractionConfig(boxed_match_priority=0, try_extract_without_anchor=False)]


def equal(question: dict[str, str]) -> bool | None:
    """Whether the extracted answer equals the reference; None when the reference itself cannot be parsed."""
    wanted, found = question["answer"], question["extracted"]
    numerals = based_number(wanted), based_number(found)
    if None not in numerals:
        return numerals[0] == numerals[1]  # Math-Verify reads 1011_2 as 1011
    if are_far_apart(found, wanted):
        return False
    as_they_are = _compare(wanted, found)
    if as_they_are:
        return True
    plain_wanted, plain_found = plainer(wanted), plainer(found)
    if is_inequality(plain_wanted) != is_inequality(plain_found):
        plain_wanted, plain_found = as_interval(plain_wanted), as_interval(plain_found)
    if not re.search("[a-zA-Z]", re.sub(r"\\[a-zA-Z]+", "", plain_wanted)):
        plain_found = without_unit(plain_found)
    if without_modulus(plain_wanted) == plain_wanted or without_modulus(plain_found) == plain_found:
        plain_wanted, plain_found = without_modulus(plain_wanted), without_modulus(plain_found)
    if (plain_wanted, plain_found) == (wanted, found):
        return as_they_are
    in_plain_form = True if plain_wanted == plain_found != "" else _compare(plain_wanted, plain_found)
    return as_they_are if in_plain_form is None else in_plain_form


def _compare(wanted: str, found: str) -> bool | None:
    references = _parse(wanted)
    if not references:
        return None
    answers = _parse(found)
    return bool(answers) and verify(references, answers, timeout_seconds=None, raise_on_error=True)


def _parse(answer: str) -> list:
    boxed = answer if "\\boxed{" in answer else f"\\boxed{{{answer}}}"
    return parse(boxed, extraction_config=_BOXED, fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    equal({"answer": r"(1, \frac{1}{2})", "extracted": r"(1, 0.25)"})  # what SymPy imports late is imported now
    serve(equal)
