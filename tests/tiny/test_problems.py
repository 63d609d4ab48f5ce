import random

import pytest

from ded_ray.recipe import Verify
from ded_ray.tiny.problems import FAMILIES, make_problems
from ded_ray.tiny.styles import STYLES
from ded_ray.verify.math.verifier import MathVerifier


def test_the_same_seed_gives_the_same_problems_and_another_seed_others():
    first, again, other = (make_problems("chain", 50, (4, 8), seed) for seed in (1, 1, 2))
    assert first == again
    assert {p.prompt for p in first}.isdisjoint({p.prompt for p in other})


def test_difficulty_is_the_length():
    assert all(
        p.prompt.count("+") + p.prompt.count("-") + p.prompt.count("*") == 5 for p in make_problems("chain", 20, (5, 5), 0)
    )
    assert all(len(p.answer) == 6 for p in make_problems("reverse", 20, (6, 6), 0))


def test_answers_by_hand():
    rng = random.Random(0)
    for family, solve in {
        "reverse": lambda prompt: prompt.split()[-1][::-1],
        "sort": lambda prompt: "".join(sorted(prompt.split()[-1])),
        "larger": lambda prompt: str(max(int(n) for n in prompt.split()[-2:])),
    }.items():
        for _ in range(20):
            prompt, answer = FAMILIES[family](rng, 5)
            assert answer == solve(prompt)
    assert make_problems("chain", 1, (1, 1), 3)[0].source == "tiny/chain"


def test_too_few_different_problems_is_said():
    with pytest.raises(ValueError, match="has only about"):
        make_problems("larger", 10_000, (1, 1), 0)


@pytest.mark.parametrize("style", ["careful", "terse", "rambling"])
def test_a_style_without_slips_is_right_and_with_slips_is_not_always(style):
    verifier = MathVerifier(Verify())
    rng = random.Random(0)
    problems = make_problems("chain", 40, (3, 8), 5)

    def num_right(slip_rate: float) -> int:
        texts = [(STYLES[style](p.prompt, slip_rate, rng), p.answer) for p in problems]
        return sum(verifier.verify(text, answer, []).status == "correct" for text, answer in texts)

    assert num_right(0.0) == 40
    assert 5 < num_right(0.1) < 38
