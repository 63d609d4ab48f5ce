"""What nothing here can check is told before anybody is paid."""

import json

from ded_ray.records import Problem
from ded_ray.verify.references import tell_unverifiable, why_unverifiable

READABLE = json.dumps([{"input": "1", "output": "2"}])


def problem(problem_id: str, answer: str, verifier: str = "code") -> Problem:
    return Problem(problem_id=problem_id, prompt="?", answer=answer, verifier=verifier)


def test_tests_that_nothing_can_read():
    assert why_unverifiable(problem("a", READABLE)) is None
    assert why_unverifiable(problem("a", "not json")) == "its tests are not JSON"
    assert why_unverifiable(problem("a", "[]")) == "it has no tests"


def test_other_verifiers_read_their_own_references():
    assert why_unverifiable(problem("a", "not json", "math")) is None
    assert why_unverifiable(problem("a", "not json", "module:function")) is None


def test_a_line_names_the_first_few():
    assert tell_unverifiable([problem("a", READABLE)], "problems") is None
    assert tell_unverifiable([problem("a", READABLE), problem("b", "")], "problems") == (
        "problems: 1 of 2 cannot be verified: 'b' (its tests are not JSON)"
    )
    many = [problem(str(number), "[]") for number in range(9)]
    assert tell_unverifiable(many, "problems") == (
        "problems: 9 of 9 cannot be verified: '0' (it has no tests), '1' (it has no tests), '2' (it has no tests), ..."
    )
