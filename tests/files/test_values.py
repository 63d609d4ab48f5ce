import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_conversations import SHAPES

from ded_ray.errors import BadInput
from ded_ray.files.values import as_answer, as_text, cell, column, has_column, is_missing, read_options


@pytest.mark.parametrize("value", [None, float("nan"), Decimal("NaN"), "", "  ", b"", [], [None]])
def test_there_is_one_kind_of_nothing(value):
    assert is_missing(value)
    with pytest.raises(BadInput, match=r"f, row 2: .* in column `a`; fill it in, or remove the row"):
        column({"a": value}, "a", "f, row 2")


@pytest.mark.parametrize("value", ["nan", "None", 0, False, 0.0, [0], {}])
def test_and_these_are_something(value):
    assert not is_missing(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [("x", "x"), (b"2", "2"), (2, "2"), (0.5, "0.5"), (72.0, "72.0"), (1e-07, "0.0000001"), (1e22, "1" + "0" * 22),
     (Decimal("1E+3"), "1000"), (True, "True"), (10**400, "1" + "0" * 400)],
)  # fmt: skip
def test_texts_and_numbers(value, text):
    assert as_text(value, "f", "a") == text


@pytest.mark.parametrize(
    "value", [None, float("inf"), b"\xff", {"a": 1}, [1], datetime.date(2026, 1, 2), pytest.param(10**5000, id="huge")]
)
def test_nothing_else_becomes_a_text(value):
    with pytest.raises(BadInput, match="f, row 2: `a` holds"):
        as_text(value, "f, row 2", "a")


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (["2"], "2"), ([2], "2"), (["$2$", "$3$"], "2, 3"), ([r"\(2\)", r"\[x\]"], "2, x"), (["2,3"], "2,3"),
        (["4", "four"], "4"), (["twenty-one", "21"], "21"), (["1/2", "0.5"], "1/2"), (["2", "2"], "2"),
        (["four", "five"], "four, five"), (["x", "y"], "x, y"), ('["$2$", "$3$"]', "2, 3"), ("[2, 3]", "[2, 3]"),
        (["1/0", "2"], "1/0, 2"), (["$a$ and $b$"], "$a$ and $b$"),
    ],
)  # fmt: skip
def test_a_list_of_mathematics_is_all_of_its_members(value, answer):
    assert as_answer(value, "math", where="f", name="a") == answer


def test_what_lists_and_objects_mean_elsewhere():
    assert as_answer({"inputs": ["1"]}, "code") == '{"inputs": ["1"]}'
    assert as_answer([1, "x"], "my:function") == '[1, "x"]'
    assert as_answer(["B"], "choice", (["x", "y"], ["A", "B"])) == "B"
    assert as_answer(1.0, "choice", (["x", "y"], ["A", "B"])) == "B"
    for value, verifier in ((["A", "B"], "choice"), ({"a": 1}, "math"), ([["2"]], "math"), (["2", None], "math"),
                            ({"a": b"\xff"}, "code")):  # fmt: skip
        with pytest.raises(BadInput):
            as_answer([value, value] if value == [["2"]] else value, verifier, where="f", name="a")


def test_fields_of_objects():
    row = {"a": {"b": {"c": 1}}, "a.d": 2}
    assert (cell(row, "a.b.c"), cell(row, "a.d"), cell(row, "a.x"), cell(row, "x.y")) == (1, 2, None, None)
    assert has_column(row, "a.x")
    assert not has_column(row, "x.y")


@pytest.mark.parametrize(
    ("value", "texts"),
    [({"A": "x", "B": "y"}, ["x", "y"]), ({"B": "y", "A": "x", "C": None}, ["x", "y"]), ({"A": "x", "C": "y"}, None),
     (["x", None], None), (["x", {"a": 1}], None), ({"text": ["x", None], "label": ["A", "B"]}, None),
     ([2, 0.5], ["2", "0.5"])],
)  # fmt: skip
def test_options(value, texts):
    found = read_options(value)
    assert (found and found[0]) == texts


@given(SHAPES, st.sampled_from(["math", "choice", "code", "a:b"]))
def test_any_answer_is_a_text_or_bad_input(value, verifier):
    try:
        assert isinstance(as_answer(value, verifier, read_options(value), where="f", name="a"), str)
    except BadInput as error:
        assert "\n" not in str(error)
