r"""The child of the math verifier: Math-Verify's strict form on one pair of answers at a time.

Its own timeouts are signals, and are off: the parent kills this process instead. `raise_on_error` is on, because
Math-Verify otherwise turns its failures into False, that is into `wrong`.
"""

import logging

from math_verify import LatexExtractionConfig, parse, verify

from ded_ray.verify.child import serve

_BOXED = [LatexExtractionConfig(boxed_match_priority=0, try_extract_without_anchor=False)]


def equal(question: dict[str, str]) -> bool | None:
    """Whether the extracted answer equals the reference; None when the reference itself cannot be parsed."""
    wanted, found = _parse(question["answer"]), _parse(question["extracted"])
    if not wanted:
        return None
    return bool(found) and verify(wanted, found, timeout_seconds=None, raise_on_error=True)


def _parse(answer: str) -> list:
    boxed = answer if "\\boxed{" in answer else f"\\boxed{{{answer}}}"
    return parse(boxed, extraction_config=_BOXED, fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    serve(equal)
