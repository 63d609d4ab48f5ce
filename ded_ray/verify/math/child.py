r"""The child of the math verifier: Math-Verify's strict form on one pair of answers at a time.

Its own timeouts are signals, and are off: the parent kills this process instead. `raise_on_error` is on, because
Math-Verify otherwise turns its failures into False, that is into `wrong`.
"""

import logging

from math_verify import LatexExtractionConfig, grader, parse, verify
from sympy import Float, Ne

from ded_ray.verify.child import serve
from ded_ray.verify.math.forms import as_tuple, based_number, plainer, times_of_day, without_modulus, without_spaces
from ded_ray.verify.math.relations import as_set
from ded_ray.verify.math.units import without_unit
from ded_ray.verify.math.values import numerically_equal, same_value

_BOXED = [LatexExtractionConfig(boxed_match_priority=0, try_extract_without_anchor=False)]

grader.sympy_numeric_eq = numerically_equal
grader.INVERSE_RELATIONS[Ne] = Ne


def equal(question: dict[str, str]) -> bool | None:
    """Whether the extracted answer equals the reference; None when the reference itself cannot be parsed."""
    wanted, found = question["answer"], question["extracted"]
    numerals = based_number(wanted), based_number(found)
    if None not in numerals:
        return numerals[0] == numerals[1]  # Math-Verify reads 1011_2 as 1011
    (wanted_times, half), (found_times, other_half) = times_of_day(wanted), times_of_day(found)
    if wanted_times and found_times and (half or other_half):
        return bool(wanted_times & found_times)
    plain_wanted, plain_found = plainer(wanted), plainer(found)
    if ("\\ldots" in plain_wanted) != ("\\ldots" in plain_found):
        return False  # Math-Verify reads {1, 2, ...} as {1, 2}
    sets = as_set(plain_wanted), as_set(plain_found)
    if sets[0] and sets[1]:  # it reads "and" and "or" as commas
        return sets[0][1] == sets[1][1] and _compare(sets[0][0], sets[1][0])
    tuples = as_tuple(plain_wanted), as_tuple(plain_found)
    if (tuples[0] and plain_found.startswith("(")) or (tuples[1] and plain_wanted.startswith("(")):
        return _compare(tuples[0] or plain_wanted, tuples[1] or plain_found)
    as_they_are = _compare(wanted, found)
    if as_they_are:
        return True
    alike = _alike(sets[0][0] if sets[0] else plain_wanted, sets[1][0] if sets[1] else plain_found)
    if without_spaces(alike[0]) == without_spaces(alike[1]) != "":
        return True
    in_plain_form = None if alike == (wanted, found) else _compare(*alike)
    return as_they_are if in_plain_form is None else in_plain_form


def _alike(wanted: str, found: str) -> tuple[str, str]:
    """Two plain answers without what only one of them names: a unit, a modulus."""
    wanted, found = without_unit(wanted, other=found), without_unit(found, other=wanted)
    if without_modulus(wanted) == wanted or without_modulus(found) == found:
        wanted, found = without_modulus(wanted), without_modulus(found)
    return wanted, found


def _compare(wanted: str, found: str) -> bool | None:
    references = _parse(wanted)
    if not references:
        return None
    answers = _parse(found)
    if not answers:
        return False
    if verify(references, answers, timeout_seconds=None, raise_on_error=True):
        return True
    return not (references[0].has(Float) or answers[0].has(Float)) and same_value(references[0], answers[0]) is True


def _parse(answer: str) -> list:
    boxed = answer if "\\boxed{" in answer else f"\\boxed{{{answer}}}"
    return parse(boxed, extraction_config=_BOXED, fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    equal({"answer": r"(1, \frac{1}{2})", "extracted": r"(1, 0.25)"})  # what SymPy imports late is imported now
    serve(equal)
