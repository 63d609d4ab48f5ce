import pytest

from ded_ray.verify.math.words import as_mathematics, compare_words


@pytest.mark.parametrize(
    ("found", "wanted", "status"),
    [
        (r"\text{No.}", "No", "correct"), ("no.", r"\text{No}", "correct"), (r"\textbf{False}", "false", "correct"),
        ("FALSE", "False", "correct"), ("No, it diverges", "No", "correct"), ("Yes, it converges", "No", "wrong"),
        ("true", "false", "wrong"), ("a hyperbola", "hyperbola", "correct"),
        (r"\text{the circle}", r"\text{Circle}", "correct"), ("thursday.", r"\text{Thursday}", "correct"),
        (r"\text{DNE}", "does not exist", "correct"), ("San francisco", "San Francisco", "correct"),
        ("PQRS", r"\text{PQRS}", "correct"), ("Нет", "нет.", "correct"), ("enlist", "silent", "wrong"),
        (r"\text{was}", r"\text{saw}", "wrong"), ("was", "saw", "unverifiable"), ("dusty", "study", "wrong"),
        (r"\text{on}", r"\text{no}", "wrong"), ("Friday", "Tuesday", "wrong"), ("odd", "even", "wrong"),
        ("not odd", "odd", "wrong"), ("odd number", "odd", "unverifiable"), ("Bea Smith", "Bea", "unverifiable"),
        ("two lines", "two planes", "wrong"), ("RQPS", "PQRS", "unverifiable"), ("BDFACE", "BDFAEC", "wrong"),
        ("7", r"\text{odd}", "wrong"), ("it increases and then it is flat", "first it rises then stays", "unverifiable"),
        ("7", "odd", None), ("qpr", "pqr", None), ("mgh", "hgm", None), ("BA", "AB", None), ("x", "y", None),
        ("2y", "y", None), ("pi", "pi", None), ("sin y", "sin y", None), ("theta", "theta", None), ("7", "8", None),
        (r"\text{(D)}", "D", None),
    ],
)  # fmt: skip
def test_words_are_compared_as_words(found, wanted, status):
    assert compare_words(found, wanted) == status


@pytest.mark.parametrize(
    ("words", "sign"),
    [("seven", "7"), (r"\text{Seven}", "7"), ("No real solutions.", r"\emptyset"), ("there is no solution", r"\emptyset"),
     ("All real numbers", r"\mathbb{R}"), ("seventy", "seventy"), ("7", "7"), ("", "")],
)  # fmt: skip
def test_some_words_are_mathematics(words, sign):
    assert as_mathematics(words) == sign
