import pytest
import sympy as sp

from ded_ray.verify.math.values import same_value

X, Y, N = sp.symbols("x y n", real=True)
TINY = sp.Rational(1, 10**40)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (sp.Rational(1, 3**150), sp.Rational(1, 3**151), False),
        (sp.exp(-300), sp.exp(-301), False),
        (sp.exp(-300), sp.Integer(0), False),
        (sp.sqrt(3) + TINY, sp.sqrt(3), False),
        (sp.sqrt(11 + 6 * sp.sqrt(2)), 3 + sp.sqrt(2), True),
        (X / 3**150, X / 3**151, False),
        (X + TINY, X, False),
        (sp.sqrt(Y / X), sp.sqrt(Y) / sp.sqrt(X), True),
        (sp.log(X**3), 3 * sp.log(X), True),
        (sp.sqrt(X**2), X, False),
        (sp.sqrt(X + Y), sp.sqrt(X) + sp.sqrt(Y), False),
        (sp.floor(X) + 1, sp.ceiling(X), False),
        (sp.factorial(N) / sp.factorial(N - 1), N, True),
        (sp.exp(sp.Symbol("i", real=False) * X), sp.cos(X) + sp.Symbol("i", real=True) * sp.sin(X), True),
        (sp.Float("0.3333333"), sp.Rational(1, 3), True),
        (sp.Float("1.2e-9"), sp.Float("1.3e-9"), False),
        (sp.oo, sp.Integer(7), None),
        (sp.Integral(X, (X, 0, 1)), sp.Rational(1, 2), None),
        (sp.Function("f")(X), sp.Function("f")(Y), None),
        (sp.Interval(0, 1), sp.Integer(7), None),
    ],
)
def test_values_are_compared_with_as_many_digits_as_it_takes(first, second, same):
    assert same_value(first, second) is same
    assert same_value(second, first) is same
