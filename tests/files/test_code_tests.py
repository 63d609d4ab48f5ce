"""LiveCodeBench's rows: the tests in one column, the name of the function that they call in another."""

import json

import pytest

from ded_ray.files.code_tests import with_function_name
from ded_ray.verify.code.cases import Calls, parse_tests, why_unreadable

CASES = json.dumps([{"input": "1\n2", "output": "3", "testtype": "functional"}])
LONG = f'[{{"input": "{"9" * 5000}", "output": "1", "testtype": "functional"}}]'


@pytest.mark.parametrize("metadata", [{"func_name": "add"}, '{"func_name": "add"}', {"fn_name": "add"}])
@pytest.mark.parametrize("tests", [CASES, f" {CASES}\n", f'{{"cases": {CASES}}}'])
def test_the_name_is_put_beside_the_tests(tests, metadata):
    assert parse_tests(with_function_name(tests, {"metadata": metadata})) == Calls("add", [([1, 2], [3])])


def test_long_integers_are_left_as_they_are():
    assert LONG in with_function_name(LONG, {"metadata": {"func_name": "f"}})


@pytest.mark.parametrize(
    "metadata", [None, "{}", {}, "not json", {"func_name": None}, [1], 7, "[" * 100_000, {"func_name": 3}]
)
def test_other_metadata_changes_nothing(metadata):
    assert with_function_name(CASES, {"metadata": metadata}) == CASES
    assert with_function_name(CASES, {}) == CASES


@pytest.mark.parametrize("tests", ["", "not json", "{}", "7"])
def test_what_is_no_tests_stays_none(tests):
    assert why_unreadable(with_function_name(tests, {"metadata": {"func_name": "f"}}))


def test_tests_for_standard_input_stay_what_they_are():
    cases = json.dumps([{"input": "1", "output": "2", "testtype": "stdin"}])
    assert parse_tests(with_function_name(cases, {"metadata": {"func_name": "f"}})) == [("1", "2")]
