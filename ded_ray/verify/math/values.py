r"""Whether two SymPy expressions have the same value, with as many digits as it takes. Imported by the child only.

Math-Verify compares 15 digits after it has rounded what is below 1e-15 to 0, so that 1/31! is 1/33!; and its symbols
may be negative, so that \sqrt{1/m} is not 1/\sqrt{m}. Here exact numbers are subtracted with up to 200 digits of
working precision, and formulas are compared at points where everything in them is real: two formulas that agree at
ten unrelated rational points, positive and negative, small and large, are the same (Schwartz 1980).
"""

import random
from collections.abc import Iterator
from fractions import Fraction

from math_verify import grader
from mpmath.libmp import NoConvergence
from sympy import (
    Basic,
    Derivative,
    Expr,
    Float,
    I,
    Integral,
    Limit,
    MatrixBase,
    MatrixExpr,
    Pow,
    Product,
    Rational,
    Sum,
    Symbol,
    UnevaluatedExpr,
    log,
    nan,
    oo,
    preorder_traversal,
    zoo,
)

DIGITS = 200
"""Of working precision, before a difference counts as none."""
POINT_DIGITS = 60
FLOAT_TOLERANCE = 2e-5
"""Relative, on top of Math-Verify's six decimals: 0.0033333 is 1/300, and 0.0000012 is not 0.0000013."""
MIN_POINTS = 3
"""At which two formulas must both be real."""

_SLOW = (Integral, Sum, Product, Limit, Derivative)
_FAILED = (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError, NoConvergence)
_math_verify_numeric_eq = grader.sympy_numeric_eq


def numerically_equal(a: Basic, b: Basic, float_rounding: int, numeric_precision: int) -> bool:
    """In place of Math-Verify's function of the same parameters, which is asked where values cannot be compared."""
    if isinstance(a, (MatrixBase, MatrixExpr)) or isinstance(b, (MatrixBase, MatrixExpr)):
        return _math_verify_numeric_eq(a, b, float_rounding, numeric_precision)
    if not (a.has(Float) or b.has(Float)):
        same = same_value(a, b)
        return _math_verify_numeric_eq(a, b, float_rounding, numeric_precision) if same is None else same
    return _math_verify_numeric_eq(a, b, float_rounding, numeric_precision) and same_value(a, b) is not False


def same_value(a: Basic, b: Basic) -> bool | None:
    """Whether a and b are equal wherever both are real; None where that cannot be said."""
    if not (isinstance(a, Expr) and isinstance(b, Expr)) or any(
        e.has(*_SLOW, UnevaluatedExpr, oo, -oo, zoo, nan) for e in (a, b)
    ):
        return None
    imaginary = {symbol: I for symbol in a.free_symbols | b.free_symbols if symbol.name == "i"}  # Math-Verify's is a symbol
    a, b = a.xreplace(imaginary), b.xreplace(imaginary)
    tolerance = FLOAT_TOLERANCE if a.has(Float) or b.has(Float) else 0.0
    symbols = a.free_symbols | b.free_symbols
    if not symbols:
        return _same_number(a, b, DIGITS, tolerance)
    agreed = 0
    for point in _points(symbols):
        if _is_real_at(a, point) and _is_real_at(b, point):
            same = _same_number(a.xreplace(point), b.xreplace(point), POINT_DIGITS, tolerance)
            if same is False:
                return False
            agreed += same is True
    return True if agreed >= MIN_POINTS else None


def _same_number(a: Expr, b: Expr, digits: int, tolerance: float) -> bool | None:
    try:
        if a.is_Rational and b.is_Rational and not tolerance:
            return a == b
        difference = (a - b).evalf(5, maxn=digits)
        if not difference.is_number or difference.has(nan, zoo, oo, -oo):
            return None
        if all(part == 0 or (part.is_Float and not part.is_comparable) for part in difference.as_real_imag()):
            return True  # not one digit of it is certain: it is 0
        return bool(tolerance) and bool(abs(difference) <= tolerance * abs(a.evalf(5)))
    except _FAILED:
        return None


def _points(symbols: set[Symbol]) -> Iterator[dict[Symbol, Rational]]:
    """The same ten for the same names, whatever is assumed of the symbols: fractions, whole numbers, negative ones."""
    names = sorted({symbol.name for symbol in symbols})
    drawn = random.Random(0)
    for low, high, below, signed in [(1, 97, 97, False), (1, 97, 97, False), (98, 400, 97, False), (98, 2900, 97, False),
                                     (2, 9, 1, False), (3, 12, 1, False), (1, 97, 97, True), (98, 400, 97, True),
                                     (98, 900, 89, True), (2, 9, 1, True)]:  # fmt: skip
        values = {
            name: Fraction(drawn.randint(low, high) * (drawn.choice((-1, 1)) if signed else 1), below) for name in names
        }
        if signed:
            values[names[0]] = -abs(values[names[0]])
        yield {symbol: Rational(values[symbol.name].numerator, values[symbol.name].denominator) for symbol in symbols}


def _is_real_at(expression: Expr, point: dict[Symbol, Rational]) -> bool:
    """Whether no root and no logarithm of a formula in symbols leaves the real numbers at this point."""
    for part in preorder_traversal(expression):
        if not part.free_symbols:
            continue
        if (isinstance(part, Pow) and not part.exp.xreplace(point).is_integer) or isinstance(part, log):
            inside = part.args[0].xreplace(point)
            if inside.has(I):
                continue
            if not inside.is_positive:
                return False
    return True
