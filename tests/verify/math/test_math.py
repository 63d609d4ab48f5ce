import json
import threading
import time
from fractions import Fraction

import pytest
from conftest import shared
from hypothesis import given, settings
from hypothesis import strategies as st

from ded_ray.recipe import Verify
from ded_ray.verify.extract import extract_answer, last_box
from ded_ray.verify.math.verifier import MathVerifier, fast_verdict, plain_number

FORMS = ("boxed", "hashes")


@pytest.fixture(scope="module")
def verifier():
    made = MathVerifier(Verify())
    yield made
    made.close()


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (r"so \boxed{5}", "5"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\boxed{\left\{1, 2\right\}}", r"\left\{1, 2\right\}"),
        (r"\boxed{1} wait, \boxed{2", None),  # the last box never closed: no falling back
        (r"<think>\boxed{1}</think> so \boxed{2}", "2"),
        (r"<think>\boxed{1}", None),
        (r"<think>a</think>\boxed{1}<think>", None),
        ("x\n#### 1,234", "1,234"),
        ("#### 7\nmore", "7"),
        (r"#### 7 and \boxed{8}", "8"),
        ("the answer is 5", None),
        (r"\boxed{}", None),
        (r"\boxed{ }", None),
        ("", None),
    ],
)
def test_extraction_is_strict(completion, answer):
    assert extract_answer(completion, FORMS) == answer


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("I think. The answer is 5.\n", "5"),
        ("The answer is: 3.14. Bye", "3.14"),
        ("The final answer is $x+1$.", "$x+1$"),
        ("The answer is \\(5\\).", "5"),
        ("Answer: 5", "5"),
        ("**Answer:** 5", "5"),
        ("**Final answer**\nThe answer is **5**.", "5"),
        ("Answer:\n5 apples", "5 apples"),
        ("The answer is 4. No: the answer is 5, so", "5, so"),
        ("<think>The answer is 5.</think>I do not know.", None),
        ("I have no answer.", None),
        ("the answer is", None),
    ],
)
def test_the_phrase_is_an_option(completion, answer):
    assert extract_answer(completion, ("boxed", "phrase")) == answer


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (r"\boxed{-2}, \boxed{1}", "-2, 1"),
        (r"\boxed{-2} and \boxed{1}", "-2, 1"),
        (r"$\boxed{-2}$ or $\boxed{1}$", "-2, 1"),
        (r"\boxed{-2} \text{ and } \boxed{1}", "-2, 1"),
        (r"\boxed{1}, \boxed{2}, and \boxed{3}", "1, 2, 3"),
        (r"\boxed{-2}. Then \boxed{1}", "1"),
        (r"\boxed{-2} \boxed{1}", "1"),
        (r"\boxed {5}", "5"),
        (r"\fbox{5}", "5"),
        (r"\boxed{x = \boxed{5}}", "5"),
        (r"\boxed{1}, \boxed{2", None),
    ],
)
def test_boxes_that_belong_together_are_one_answer(completion, answer):
    assert extract_answer(completion, ("boxed", "phrase")) == answer


def test_a_megabyte_of_braces_is_quick():
    started = time.monotonic()
    assert last_box("\\boxed{" + "{" * 1_000_000) is None
    assert extract_answer("\\boxed{" + "9" * 1_000_000 + "}", FORMS) is None
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("-5", -5), ("1,234", 1234), ("0.50", Fraction(1, 2)), (r"\frac{3}{4}", Fraction(3, 4)),
     ("3/4", Fraction(3, 4)), ("$7$", 7), ("1,23", None), ("50\\%", None), ("x", None), ("1/0", None), ("1e5", None),
     ("", None)],
)  # fmt: skip
def test_plain_numbers(text, value):
    assert plain_number(text) == value


@pytest.mark.parametrize(
    ("found", "wanted", "status"),
    [("5", "5", "correct"), ("5.0", "5", "correct"), ("6", "5", "wrong"),
     ("900001", "900000", "wrong"), (r"\frac12", "0.5", "correct"),
     ("(1,2)", "(1, 2)", "correct"), ("(2,1)", "(1,2)", "wrong"), (r"\{1,2\}", r"\{2,1\}", "correct"),
     ("x+1", "1+x", "correct"), (r"\text{Evelyn}", r"\text{Evelyn}", "correct"), (r"2\sqrt{3}", r"\sqrt{12}", "correct"),
     (r"[0,1)", r"[0,1]", "wrong"), ("+++", "5", "wrong")],
)  # fmt: skip
def test_verdicts(verifier, found, wanted, status):
    assert verifier.verify(f"\\boxed{{{found}}}", wanted, []).status == status


NUMBER = st.integers(-10_000, 10_000).map(str) | st.decimals(-999, 999, places=3).map(lambda d: f"{d:.3f}") | st.builds(
    lambda a, b: f"\\frac{{{a}}}{{{b}}}", st.integers(0, 99), st.integers(1, 99)
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(NUMBER, NUMBER)
def test_the_fast_path_never_disagrees_with_the_slow_one(verifier, found, wanted):
    fast = fast_verdict(found, wanted)
    slow = verifier._child.ask({"extracted": found, "answer": wanted}, 10)
    assert fast is None or fast == slow


def test_whole_numbers_that_are_near_need_no_parser():
    assert fast_verdict("900001", "900000") is False
    assert fast_verdict("0.333333", r"\frac{1}{3}") is None, "rounded ones are Math-Verify's business"


def test_what_takes_too_long_is_timed_out_not_wrong_and_the_next_answer_is_served():
    verifier = MathVerifier(Verify(timeout_seconds=1))
    verifier.verify(r"\boxed{x+1}", "1+x", [])
    started = time.monotonic()
    assert verifier.verify(r"\boxed{9^{9^{9^{9}}} + 1}", "y", []).status == "timed_out"
    assert time.monotonic() - started < 3
    assert verifier.verify(r"\boxed{x+1}", "1+x", []).status == "correct"
    verifier.close()


def test_it_works_in_a_thread_where_signals_do_not(verifier):
    found = []
    thread = threading.Thread(target=lambda: found.append(verifier.verify(r"\boxed{x+x}", "2x", []).status))
    thread.start()
    thread.join(60)
    assert found == ["correct"]


def test_verdicts_agree_with_the_publishers_of_gsm8k_rollouts(verifier):
    rows = [json.loads(line) for line in shared("gsm8k_rollouts.jsonl").read_text().splitlines()]
    agreed = sum((verifier.verify(r["completion"], r["answer"], []).status == "correct") == r["is_correct"] for r in rows)
    assert agreed / len(rows) >= 0.999


def test_the_fast_path_never_disagrees_on_real_answers(verifier):
    rows = [json.loads(line) for line in shared("math500_rollouts.jsonl").read_text().splitlines()]
    pairs = {(a, r["answer"]) for r in rows if (a := extract_answer(r["completion"], FORMS))}
    checked = 0
    for found, wanted in pairs:
        fast = fast_verdict(found, wanted)
        if fast is not None and found != wanted:
            assert fast == verifier._child.ask({"extracted": found, "answer": wanted}, 10), (found, wanted)
            checked += 1
    assert checked > 5


def test_no_rollout_that_is_cut_off_is_correct(verifier):
    """Real ones, cut just before the last box closes: a right answer before its end is none."""
    rows = [json.loads(line) for line in shared("math500_rollouts.jsonl").read_text().splitlines()]
    boxed = [row for row in rows if "</think>" in row["completion"] and "\\boxed{" in row["completion"].split("</think>")[1]]
    assert len(boxed) > 100
    for row in boxed:
        cut = row["completion"][: row["completion"].rindex("\\boxed{") + len("\\boxed{") + 1]
        assert verifier.verify(cut, row["answer"], []).status == "no_answer"
    unfinished = [row for row in rows if "<think>" in row["completion"] and "</think>" not in row["completion"]]
    assert all(verifier.verify(row["completion"], row["answer"], []).status == "no_answer" for row in unfinished)
