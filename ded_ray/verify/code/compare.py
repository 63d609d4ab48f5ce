"""Whether what a program printed or returned is what its tests want: exactly, or within the recipe's tolerance.

Two numbers are near when they differ by no more than `tolerance`, or than this part of the wanted one where that is
greater: the rule of Codeforces' checkers. It needs one of them to be written as a float; a wanted integer is never
approached by more than `tolerance` itself, so that large ones stay exact.
"""

import math
import re
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,40})(?:\.[0-9]{1,400})?(?:[eE][-+]?[0-9]{1,3})?")


def same_data(returned: Any, wanted: Any, tolerance: float = 0) -> bool:
    """Equal as JSON would have it: a tuple is a list."""
    if isinstance(wanted, list):
        if not isinstance(returned, list | tuple) or len(returned) != len(wanted):
            return False
        return all(same_data(*pair, tolerance) for pair in zip(returned, wanted, strict=True))
    if isinstance(wanted, dict):
        if not isinstance(returned, dict):
            return False
        named = {str(key): value for key, value in returned.items()}
        return named.keys() == wanted.keys() and all(same_data(named[key], wanted[key], tolerance) for key in wanted)
    return returned == wanted or _near(returned, wanted, tolerance)


def _near(returned: Any, wanted: Any, tolerance: float) -> bool:
    kinds = {type(returned), type(wanted)}
    if not kinds <= {int, float} or float not in kinds:
        return False
    try:
        first, second = float(returned), float(wanted)
    except OverflowError:  # an integer that no float can hold
        return False
    if math.isnan(first) and math.isnan(second):
        return True
    allowed = tolerance * max(1.0, abs(second)) if type(wanted) is float else tolerance
    return math.isfinite(first) and math.isfinite(second) and tolerance > 0 and abs(first - second) <= allowed


def same_output(printed: str, wanted: str, tolerance: float = 0) -> bool:
    """Equal line by line and word by word; two numbers are equal by value (1.0 and 1), or near."""
    lines = [[line.split() for line in text.strip().splitlines()] for text in (printed, wanted)]
    return len(lines[0]) == len(lines[1]) and all(
        len(a) == len(b) and all(x == y or _same_number(x, y, tolerance) for x, y in zip(a, b, strict=True))
        for a, b in zip(*lines, strict=True)
    )


def _same_number(printed: str, wanted: str, tolerance: float) -> bool:
    """By value; digits with leading zeros are a text."""
    if not (_NUMBER.fullmatch(printed) and _NUMBER.fullmatch(wanted)):
        return False
    first, second = Decimal(printed), Decimal(wanted)
    if first == second:
        return True
    floats = [bool(set(text) & set(".eE")) for text in (printed, wanted)]
    allowed = Decimal(tolerance) * max(Decimal(1), abs(second)) if floats[1] else Decimal(tolerance)
    return tolerance > 0 and any(floats) and abs(first - second) <= allowed
