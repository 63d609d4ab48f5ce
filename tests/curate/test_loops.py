"""Loops: every case of the rule's file, in time that grows with the text."""

import json
import time

import pytest
from conftest import shared

from ded_ray.curate.rules import loops
from ded_ray.curate.rules.answer import Answer
from ded_ray.recipe import Quality


def drops(completion: str, **config: float) -> bool:
    return loops.drops(Answer(completion, 1, "?"), Quality(**config))


@pytest.mark.parametrize(("case", "is_dropped"), loops.CASES)
def test_what_is_a_loop(case, is_dropped):
    completion, _, _, config = case
    assert drops(completion, **config) == is_dropped


@pytest.mark.parametrize(
    "unit", ["ok,", "Hm!", "no.", "so;so;", "let_me_see/", "\\quad", "x=1;", "\n", "\r\n", "\n\n \n", "ab", "é", "\u0430"]
)
def test_what_is_repeated_without_spaces_is_a_loop_wherever_it_stands(unit):
    loop = unit * (300 // len(unit))
    rest = "It is plain that two and three make five, and so the answer is five."
    for text in (loop + rest, rest + loop, f"{rest} {loop} {rest}"):
        assert drops(text), text
        assert not drops(text, max_loop=0.95)
    assert not drops(rest + unit * 3 + rest)


@pytest.mark.parametrize(
    "sign", ["-", "=", "*", "_", "~", "#", "+-", "|---", "| ", ":-:|", "─", "━━", "· ", "🙂", "....", "-+-|"]
)
def test_a_rule_or_border_is_no_loop_unless_it_is_most_of_the_text(sign):
    rule = sign * (80 // len(sign))
    text = "Two and three make five.\nThe same in a table says no more, but it may be easier to read for some of us.\n"
    assert not drops(f"{text}{rule}\n{text}")
    assert drops(f"{rule * 9}\n{text}")


def test_numbers_that_are_long_are_no_loops_until_they_are_very_long():
    text = "Written out in full this is {}, which is what was asked for."
    for number in (
        "0." + "3" * 120,
        "1" + "0" * 120,
        "1" + ",000" * 40,
        "1_000" + "_000" * 30,
        "0." + "09" * 60,
        "[" + "0," * 80 + "1]",
    ):
        assert not drops(text.format(number))
    digits = "".join(str(i * i) for i in range(400))
    assert not drops(text.format(digits))
    assert drops(text.format("3" * 400))


def test_loops_are_found_in_time_that_grows_with_the_text():
    started = time.perf_counter()
    for unit in ("a", "ok,", "-", "\n", "x ", "aaaaaaab", "0", "1 ", "\U0001f642", "\ud800", "\u00a0"):
        drops(unit * (200_000 // len(unit)))
    assert time.perf_counter() - started < 30


def test_the_case_of_a_public_report_is_dropped():
    for line in shared("../cases/f30_loops_without_spaces_rollouts.jsonl").read_text().splitlines():
        assert drops(json.loads(line)["completion"])
