"""The forms of tests that are read, and those of which it is said why they are not."""

import json
import time

import pytest

from ded_ray.verify.code.cases import Calls, FunctionTests, UnreadableTests, parse_tests, why_unreadable


def test_forms_for_standard_input():
    assert parse_tests('{"inputs": ["1", ["2", "3"]], "outputs": ["a", "b"]}') == [("1", "a"), ("2\n3", "b")]
    assert parse_tests('[{"input": "1", "output": "2"}]') == [("1", "2")]
    assert parse_tests('[{"input": "1", "output": "2", "testtype": "stdin"}]') == [("1", "2")]
    assert parse_tests('{"test_cases": [{"input": "1", "output": "2", "type": "stdin_stdout", "fn_name": null}]}') == [
        ("1", "2")
    ]
    assert parse_tests('[{"input": 1, "output": 0.5, "type": "hidden"}]') == [("1", "0.5")]
    assert parse_tests(f'{{"inputs": [{"7" * 5000}], "outputs": ["x"]}}') == [("7" * 5000, "x")]


def calls(**reference) -> Calls:
    found = parse_tests(json.dumps(reference))
    assert isinstance(found, Calls)
    return found


def test_a_text_beside_native_arguments_is_a_text():
    assert calls(fn_name="f", inputs=[["1", "2"]], outputs=["12"]) == Calls("f", [(["1", "2"], ["12"])])
    for text in ("12", "true", "null", "[1]", '"a"', "1.0"):
        assert calls(fn_name="f", inputs=[[]], outputs=[text]).calls == [([], [text])]


def test_a_text_beside_arguments_of_json_text_is_json():
    for text, value in (("12", 12), ("true", True), ("null", None), ("[1]", [1]), ('"12"', "12"), ("plain", "plain")):
        found = calls(fn_name="f", cases=[{"input": '1\n"a"\n', "output": text}])
        assert found == Calls("f", [([1, "a"], [value])])


def test_apps_may_wrap_a_native_result():
    assert calls(fn_name="f", inputs=[[1]], outputs=[[2]]).calls == [([1], [[2], 2])]
    assert calls(fn_name="f", inputs=[[1]], outputs=[[2, 3]]).calls == [([1], [[2, 3]])]
    assert calls(fn_name="f", cases=[{"input": "1", "output": "[2]"}]).calls == [([1], [[2]])]
    assert calls(fn_name="f", inputs=[5], outputs=[25]).calls == [([5], [25])]


FUNCTIONAL = {"input": "[1,2]\n3", "output": "[4]", "testtype": "functional"}


@pytest.mark.parametrize(
    "reference",
    [
        {"cases": [FUNCTIONAL], "fn_name": "f"},
        {"cases": [FUNCTIONAL], "func_name": "f"},
        {"cases": [FUNCTIONAL], "metadata": {"func_name": "f"}},
        {"cases": [FUNCTIONAL], "metadata": '{"func_name": "f"}'},
        [FUNCTIONAL | {"metadata": {"func_name": "f"}}],
        [FUNCTIONAL | {"fn_name": "Solution().f"}],
        [{"input": "[1,2]\n3", "output": "[4]", "type": "function_call", "fn_name": "f"}],
    ],
)
def test_the_name_of_the_function_is_found_where_data_sets_have_it(reference):
    assert parse_tests(json.dumps(reference)) == Calls("f", [([[1, 2], 3], [[4]])])


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("not json", "its tests are not JSON"),
        ("", "its tests are not JSON"),
        ("[" * 100_000, "its tests are not JSON"),
        ("42", "its tests are of no known form"),
        ('"[]"', "its tests are of no known form"),
        ("{}", "its tests are of no known form"),
        ('[{"in": 1}]', "its tests are of no known form"),
        ('{"inputs": "1", "outputs": "2"}', "its inputs and outputs are not lists of one length"),
        ('{"inputs": ["1"], "outputs": []}', "its inputs and outputs are not lists of one length"),
        *[(none, "it has no tests") for none in ("[]", '{"inputs": [], "outputs": []}', '{"cases": []}')],
        ('{"inputs": ["x y"], "outputs": ["2"], "fn_name": "f"}', "its arguments are not JSON"),
        (json.dumps([FUNCTIONAL]), "its tests call a function that nothing names"),
        (json.dumps([FUNCTIONAL | {"fn_name": name} for name in "fg"]), "its tests call several functions"),
        (json.dumps([FUNCTIONAL | {"fn_name": "import os"}]), "the name of its function is none"),
        (json.dumps([FUNCTIONAL | {"metadata": "{}"}]), "its tests call a function that nothing names"),
        (json.dumps([FUNCTIONAL, FUNCTIONAL | {"testtype": "stdin"}]), "its tests are of a type that is not known"),
        ('[{"input": "1", "output": "2", "testtype": "interactive"}]',
        "its tests are of a type that is not known: interactive"),
        ('{"inputs": [[1, [2]]], "outputs": [3]}', "its cases hold data, but no function to call"),
        ('[{"input": {"a": 1}, "output": "2"}]', "its cases hold data, but no function to call"),
        ('[{"input": "1", "output": null}]', "its cases hold data, but no function to call"),
        ('{"fn_name": "f", "inputs": [{"a": 1}], "outputs": [2]}', "its arguments have names"),
        ('{"test": "", "entry_point": "f"}', "its test defines no `check`"),
        ('{"test": "assert f(1) == 2", "entry_point": "f"}', "its test defines no `check`"),
        ('{"test": "def check(c:", "entry_point": "f"}', "its test is not Python"),
        ('{"test": "def check(c): pass\\u0000", "entry_point": "f"}', "its test is not Python"),
        ('{"test": ["assert f(1)"], "entry_point": "f"}', "its test is not a text"),
        ('{"test": null, "entry_point": "f"}', "its test is not a text"),
        ('{"test": "def check(c): pass", "entry_point": ""}', "the name of its function is none"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_said_and_never_run_as_something_else(reference, why):
    with pytest.raises(UnreadableTests):
        parse_tests(reference)
    assert (why_unreadable(reference) or "").startswith(why)


def function_tests(prompt: str, entry_point: str = "f") -> FunctionTests:
    found = parse_tests(json.dumps({"test": "def check(c): assert c(1)", "entry_point": entry_point, "prompt": prompt}))
    assert isinstance(found, FunctionTests)
    return found


@pytest.mark.parametrize(
    ("prompt", "helpers", "is_leetcode"),
    [
        ("", "", False),
        ("def f(x):\n", "def f(x):\n    pass\n\n", False),
        ("import math\n", "import math\n\n\n", False),
        ("Write a function f that doubles.", "", False),
        ("class Solution:\n    def f(self, x):\n", "class Solution:\n    def f(self, x):\n        pass\n\n", True),
        ("def f(x: List[int]):\n", "def f(x: List[int]):\n    pass\n\n", True),
        (
            "from typing import List\ndef f(x: List[int]):\n",
            "from typing import List\ndef f(x: List[int]):\n    pass\n\n",
            False,
        ),
    ],
)
def test_what_a_prompt_gives_to_its_tests(prompt, helpers, is_leetcode):
    found = function_tests(prompt)
    assert (found.helpers, found.is_leetcode) == (helpers, is_leetcode)


def test_a_method_may_be_named_as_a_call():
    assert function_tests("", "Solution().two_sum").entry_point == "two_sum"
    assert function_tests("", "Solution().two_sum").is_leetcode


def test_long_integers_are_read_and_in_time():
    started = time.process_time()
    found = calls(fn_name="f", cases=[{"input": "9" * 200_000, "output": "8" * 5000}])
    assert found.calls[0][0][0] % 10**9 == 999_999_999
    assert why_unreadable(f'[{{"input": {"9" * 2_000_000}, "output": "1"}}]') == "its tests are not JSON"
    assert time.process_time() - started < 20
