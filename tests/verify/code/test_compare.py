"""What a program printed or returned against what its tests want."""

import math

import pytest

from ded_ray.verify.code.compare import same_data, same_output


@pytest.mark.parametrize(
    ("printed", "wanted", "same"),
    [("1 2\n", "1  2", True), ("1.0", "1", True), ("1.0000001", "1", False), ("a\nb", "a b", False), ("", "", True),
     ("y", "Y", False), ("10", "0010", False), ("1_0", "10", False), ("-0.50", "-0.5", True), ("1e2", "100", True),
     ("9" * 5000, "9" * 5000, True), ("9" * 5000, "9" * 4999 + "8", False), ("0.30000000000000004", "0.3", False)],
)  # fmt: skip
def test_outputs_are_compared_by_words_and_exact_numbers(printed, wanted, same):
    assert same_output(printed, wanted) is same


@pytest.mark.parametrize(
    ("printed", "wanted", "same"),
    [("0.333333", "0.333333333333", True), ("0.3333", "0.333333333333", False), ("0.30000000000000004", "0.3", True),
     ("1.9999999999", "2", True), ("2", "1.9999999999", True), ("1000000.5", "1000000.0", True), ("1000002",
     "1000000.0", False),
     ("1000000008", "1000000007", False), ("1000000007.4", "1000000007", False), ("3", "3", True), ("4", "3", False),
     ("1e-9", "0.0", True), ("0." + "3" * 60, "0.333333", True), ("a 0.5000001", "a 0.5", True), ("b 0.5", "a 0.5", False),
     ("nan", "0.5", False), ("inf", "1e300", False), ("1e999", "1e999", True), ("0.5 0.5", "0.5", False), ("", "0.0",
     False)],
)  # fmt: skip
def test_with_a_tolerance_floats_may_be_near_and_integers_may_not(printed, wanted, same):
    assert same_output(printed, wanted, 1e-6) is same


@pytest.mark.parametrize(
    ("returned", "wanted", "same"),
    [((2,), [2], True), ([2, 3], [3, 2], False), ({1: (2, 3)}, {"1": [2, 3]}, True), ({1: 2}, {"1": 2, "2": 3}, False),
     ("12", "12", True), (12, "12", False), ("12", 12, False), (None, "null", False), (True, "true", False), (2, [2], False),
     (0.1 + 0.2, 0.3, False), (math.nan, math.nan, True), (1.0, 1, True), ({1}, [1], False), ([], {}, False), ("",
     [], False)],
)  # fmt: skip
def test_data_is_compared_as_json_has_it(returned, wanted, same):
    assert same_data(returned, wanted) is same


@pytest.mark.parametrize(
    ("returned", "wanted", "same"),
    [(0.1 + 0.2, 0.3, True), ([1, [0.3333333]], [1, [0.33333333333]], True), ({"a": 0.5000001}, {"a": 0.5}, True),
     (3, 3.0000001, True), (2.0000001, 2, True), (10**9 + 0.4, 10**9, False), (10**9 + 1, 10**9, False), (10**400,
     0.5, False),
     (math.inf, 1.0, False), (1.0, math.inf, False), (math.inf, math.inf, True), ("0.3", 0.3, False), (True,
     1.0000001, False),
     (math.nan, 1.0, False)],
)  # fmt: skip
def test_with_a_tolerance_returned_floats_may_be_near(returned, wanted, same):
    assert same_data(returned, wanted, 1e-6) is same
