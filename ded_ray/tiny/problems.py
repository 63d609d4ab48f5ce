"""Synthetic problem families with a difficulty knob; every answer is a plain integer, so verdicts are exact.

In-domain is `chain`: arithmetic modulo 10, read strictly from left to right, whose difficulty is the number of
operations. Out-of-domain are `reverse`, `sort` and `larger`, whose difficulty is the number of digits: skills that
the base student already has, so that forgetting shows.
"""

import random
from collections.abc import Callable

from ded_ray.records import Problem


def apply(value: int, operator: str, operand: int) -> int:
    """One step of a chain, before the reduction modulo 10."""
    return {"+": value + operand, "-": value - operand, "*": value * operand}[operator]


def chain(rng: random.Random, difficulty: int) -> tuple[str, str]:
    """`difficulty` operations + - * on digits, e.g. ('Left to right, mod 10: 7+5*3', '6')."""
    value = rng.randint(0, 9)
    expression = str(value)
    for _ in range(difficulty):
        operator, operand = rng.choice("+-*"), rng.randint(2, 9)
        expression += f"{operator}{operand}"
        value = apply(value, operator, operand) % 10
    return f"Left to right, mod 10: {expression}", str(value)


def _digits(rng: random.Random, count: int) -> list[str]:
    # 1-9 only: a leading zero would make two different strings the same integer.
    return [str(rng.randint(1, 9)) for _ in range(count)]


def reverse(rng: random.Random, difficulty: int) -> tuple[str, str]:
    """The digits backwards, e.g. ('Reverse: 4821', '1284')."""
    digits = _digits(rng, difficulty)
    return f"Reverse: {''.join(digits)}", "".join(reversed(digits))


def sort(rng: random.Random, difficulty: int) -> tuple[str, str]:
    """The digits in ascending order, e.g. ('Sort: 4821', '1248')."""
    digits = _digits(rng, difficulty)
    return f"Sort: {''.join(digits)}", "".join(sorted(digits))


def larger(rng: random.Random, difficulty: int) -> tuple[str, str]:
    """The larger of two numbers of the same length, e.g. ('Larger: 4821 4812', '4821')."""
    first, second = "".join(_digits(rng, difficulty)), "".join(_digits(rng, difficulty))
    return f"Larger: {first} {second}", max(first, second)


FAMILIES: dict[str, Callable[[random.Random, int], tuple[str, str]]] = {
    "chain": chain,
    "reverse": reverse,
    "sort": sort,
    "larger": larger,
}


def make_problems(family: str, num_problems: int, difficulty: tuple[int, int], seed: int) -> list[Problem]:
    """`num_problems` different problems, their difficulty uniform over the closed range `difficulty`.

    The same arguments give the same problems on every machine. Raises ValueError when the range holds fewer
    different problems than were asked for (found by drawing: after 100 draws per problem).
    """
    rng = random.Random(f"{family}-{seed}")
    answers: dict[str, str] = {}
    for _ in range(100 * num_problems):
        if len(answers) == num_problems:
            break
        prompt, answer = FAMILIES[family](rng, rng.randint(*difficulty))
        answers[prompt] = answer
    if len(answers) < num_problems:
        raise ValueError(f"{family} at difficulty {difficulty} has only about {len(answers)} problems")
    return [
        Problem(problem_id=f"{family}-{seed}-{i}", prompt=prompt, answer=answer, verifier="math", source=f"tiny/{family}")
        for i, (prompt, answer) in enumerate(answers.items())
    ]
