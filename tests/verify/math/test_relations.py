import pytest

from ded_ray.verify.math.relations import as_set, with_latex_signs


@pytest.mark.parametrize("sign", ["!=", "≠", r"\ne", r"\neq", "<>", r"\not="])
def test_one_sign_for_unequal(sign):
    assert with_latex_signs(f"y {sign} 7").split() == ["y", r"\neq", "7"]


@pytest.mark.parametrize("sign", [">=", "≥", "⩾", r"\ge", r"\geq", r"\geqslant", r"\geqq"])
def test_one_sign_for_at_least(sign):
    assert with_latex_signs(f"y {sign} 7").split() == ["y", r"\geq", "7"]


def test_other_commands_keep_their_names():
    for answer in (r"\left(7\right)", r"\leftarrow", r"\neg p", r"\get", "y = 7", "7!"):
        assert with_latex_signs(answer) == answer


@pytest.mark.parametrize(
    ("inequality", "interval"),
    [
        ("y > 7", r"(7, \infty)"), (r"y \leq 7", r"(-\infty, 7]"), (r"7 \geq y", r"(-\infty, 7]"),
        (r"1 \leq y < 7", "[1, 7)"), ("7 > y > 1", "(1, 7)"),
        (r"y < 1 \text{ or } y > 7", r"(-\infty, 1) \cup (7, \infty)"), (r"y > 1 \text{ and } y < 7", "(1, 7)"),
        ("1 < y and y < 7", "(1, 7)"), ("y > 1, y < 7", "(1, 7)"), (r"y \neq 7", r"\mathbb{R} \setminus \{7\}"),
        (r"\{y \mid y > 7\}", r"(7, \infty)"), (r"\{y \in \mathbb{R} : 1 < y < 7\}", "(1, 7)"),
        (r"\theta \geq 7", r"[7, \infty)"),
    ],
)  # fmt: skip
def test_inequalities_are_sets(inequality, interval):
    assert as_set(inequality) == (interval, r"\theta" if "theta" in inequality else "y")


@pytest.mark.parametrize(
    "answer", ["7", "(1, 7)", "1 < y > 7", "y > 1 and z < 7", "y > 1 and y > 7", "y > 1 or z > 7", "y^2 > 4", "y = 7", ""]
)
def test_other_answers_are_not(answer):
    assert as_set(answer) is None
