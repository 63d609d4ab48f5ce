import pytest

from ded_ray.verify.math.plain_text import from_plain_text
from ded_ray.verify.math.units import without_unit


@pytest.mark.parametrize(
    ("typed", "latex"),
    [
        ("pi/5", r"\pi /5"), ("2pi", r"2\pi"), ("y**3", "y^3"), ("sqrt(y+1)", r"\sqrt{y+1}"), ("cbrt(7)", r"\sqrt[3]{7}"),
        ("exp(-y)", r"\exp(-y)"), ("2^(y+1)", "2^{y+1}"), ("2**-3", "2^{-3}"), ("abs(y-(1))", "|y-(1)|"),
        ("log2(8)", r"\log_{2}(8)"), ("log_3(9)", r"\log_3(9)"), ("asin(1)", r"\arcsin(1)"), ("oo", r"\infty"),
        ("C(7, 3)", r"\binom{7}{3}"), ("1 + 5*I", "1 + 5*i"), ("2**3**2", "2^{3^{2}}"), ("sqrt((y)", r"\sqrt((y)"),
        ("sec(y)", r"\sec(y)"), (r"\operatorname{tan} y", r"\tan  y"),
    ],
)  # fmt: skip
def test_what_is_typed_becomes_latex(typed, latex):
    assert from_plain_text(typed) == latex


@pytest.mark.parametrize(
    "answer",
    [r"\pi", r"\sqrt{y}", "spin", r"\text{sine}", "7 sec", "7 min", "ypi", r"\log 7", r"\exp(y)", "x^2 100", "(1, 7)", ""],
)
def test_what_is_latex_or_a_word_stays(answer):
    assert from_plain_text(answer) == answer


@pytest.mark.parametrize(
    "answer",
@pytest.mark.parametrize(
    "answer",
    ["7 million", "7 thirds", "7 dozen", "7 hundred miles", "7x", "7 or more", "7 below zero", "7 plus 1 km"],
)  # fmt: skip
     "7 times", "7 cookies", "7 m/s^2", "7 cubic inches", "7 kg each"],
)  # fmt: skip
def test_units_are_left_out(answer):
    assert without_unit(answer, other="8") == "7"
    assert without_unit(answer, other="8x") == answer, "the other one may hold a product of variables"


@pytest.mark.parametrize(
    "answer", ["7 million", "7 thirds", "7 dozen", "7 hundred miles", "7x", "7 or more", "7 below zero", "7 plus 1 km more"]
)
def test_what_changes_the_number_is_no_unit(answer):
    assert without_unit(answer, other="8") == answer
