import json
import threading
import time
from fractions import Fraction

import psutil
import pytest
from conftest import shared
from hypothesis import given, settings
from hypothesis import strategies as st

from ded_ray.recipe import Verify
from ded_ray.verify.child import Child, ChildCrashed, ChildTimedOut
from ded_ray.verify.extract import extract_answer, last_box
from ded_ray.verify.math import MathVerifier, fast_verdict, plain_number

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


def test_the_phrase_is_an_option():
    assert extract_answer("I think. The answer is 5.\n", ("boxed", "phrase")) == "5"
    assert extract_answer("The answer is: 3.14. Bye", ("phrase",)) == "3.14"


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
    [("5", "5", "correct"), ("5.0", "5", "correct"), ("6", "5", "wrong"), (r"\frac12", "0.5", "correct"),
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


def child(code: str, tmp_path, monkeypatch, memory_bytes: int = 1 << 30, cpu_seconds: int = 60) -> Child:
    (tmp_path / "made_child.py").write_text(
        f"import os, sys, time\nfrom ded_ray.verify.child import serve\ndef answer(q):\n    {code}\nserve(answer)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Child("made_child", memory_bytes, cpu_seconds)


def test_a_hanging_child_is_killed_with_all_that_it_started(tmp_path, monkeypatch):
    made = child(f"os.system('sleep 300 & echo $! > {tmp_path}/pid'); time.sleep(300)", tmp_path, monkeypatch)
    with pytest.raises(ChildTimedOut):
        made.ask({}, 0.5)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(50):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the child's own child is still there")


@pytest.mark.parametrize(
    "code", ["os._exit(0)", "raise KeyboardInterrupt", "x = bytearray(8 << 30)", "return answer(answer)", "os.abort()"]
)
def test_a_child_that_breaks_has_crashed_and_a_new_one_serves(code, tmp_path, monkeypatch):
    made = child(f"if q.get('ok'): return 1\n    {code}", tmp_path, monkeypatch)
    with pytest.raises(ChildCrashed):
        made.ask({}, 20)
    assert made.ask({"ok": True}, 20) == 1
    made.stop()


def test_a_child_that_prints_does_not_disturb_its_answers(tmp_path, monkeypatch):
    made = child("print('{\"answer\": 2}'); os.write(1, b'noise'); return 1", tmp_path, monkeypatch)
    assert [made.ask({}, 20), made.ask({}, 20)] == [1, 1]
    made.stop()


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
