# ruff: noqa: RUF001
import time

import pytest

from ded_ray.verify.signs import readable


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("７", "7"), ("１２，３４５", "12,345"), ("（２，４）", "(2,4)"), ("𝟕", "7"), ("⑦", "7"), ("٧", "7"), ("७", "7"),
        ("\u200b7", "7"), ("7\ufeff", "7"), ("7\u200e", "7"), ("\u00ad7\u2060", "7"), ("1\u00a0000", "1 000"),
        ("y³", "y^{3}"), ("10⁻⁴", "10^{-4}"), ("201₃", "201_{3}"), ("¾", r"\frac{3}{4}"), ("4½", r"4\frac{1}{2}"),
        ("3⁄4", "3/4"), ("ℝ", r"\mathbb{R}"), ("60º", "60°"), ("∞", "∞"), ("−7", "−7"), ("**7**", "7"), ("__7__", "7"),
        ("`7`", "7"), ("*7*", "7"), ("**$7$**", "$7$"), ("**Answer:** 7", "Answer: 7"), ("` 7 `", "7"),
        ("y**2+3*y", "y**2+3*y"), ("2**3**2", "2**3**2"), ("2*a*b", "2*a*b"), ("(y)**2", "(y)**2"),
        ("x_1 + x_2", "x_1 + x_2"), ("7<|im_end|>", "7"), ("7</s>", "7"), ("**7**<|eot_id|>", "7"),
        ("7<｜end▁of▁sentence｜>", "7"), ("7<|im_end|>\nuser: 8", "7"), ("x < 3 | y > 2", "x < 3 | y > 2"),
        (r"\frac{1}{7}", r"\frac{1}{7}"), ("", ""),
    ],
)  # fmt: skip
def test_other_signs_and_wrappers_leave_the_answer(text, plain):
    assert readable(text) == plain
    assert readable(plain) == plain


def test_a_megabyte_takes_no_time():
    started = time.monotonic()
    for junk in ("*", "**", "`", "__", "<|", "７", "½", "\u200b", "**a", "<|a"):
        readable(junk * (1_000_000 // len(junk)))
    assert time.monotonic() - started < 30
