"""How a model of the tiny world writes its solutions: its style, and how often it slips.

A style is what a model was trained to write; a slip is a wrong result in one written step, carried on from there,
as the mistakes in a real pretraining corpus are. Sampled at temperature 1 a trained model slips as often as its
corpus did, which is what makes the base student able but unreliable.
"""

import random
import re

from ded_ray.tiny.problems import apply

_STEP = re.compile(r"([+*-])(\d)")


def _steps(prompt: str, slip_rate: float, rng: random.Random) -> list[tuple[str, int, int]]:
    """The chain's steps as ('7+5', 12, 2): what is computed, its raw value, its value modulo 10 (or a slip)."""
    expression = prompt.rsplit(" ", 1)[1]
    value, steps = int(expression[0]), []
    for operator, operand in _STEP.findall(expression):
        raw = apply(value, operator, int(operand))
        result = raw % 10
        if rng.random() < slip_rate:
            result = (result + rng.randint(1, 9)) % 10
        steps.append((f"{value}{operator}{operand}", raw, result))
        value = result
    return steps


def careful(prompt: str, slip_rate: float, rng: random.Random) -> str:
    """One written step per line: the whole computation, nothing else."""
    steps = _steps(prompt, slip_rate, rng)
    return "\n".join(f"{step}={result}" for step, _, result in steps) + f"\n\\boxed{{{steps[-1][2]}}}"


def terse(prompt: str, slip_rate: float, rng: random.Random) -> str:
    """Only the running results: short, and hard to follow for who does not know the way."""
    steps = _steps(prompt, slip_rate, rng)
    return "".join(str(result) for _, _, result in steps) + f" \\boxed{{{steps[-1][2]}}}"


def rambling(prompt: str, slip_rate: float, rng: random.Random) -> str:
    """Thinks aloud between think tags, reduces in words, answers in a sentence."""
    steps = _steps(prompt, slip_rate, rng)
    opening = ("First", "So", "Start:")
    linking = ("then", "now", "next", "and")
    thoughts = ", ".join(
        f"{rng.choice(linking) if i else rng.choice(opening)} {step} is {raw}, so {result}"
        for i, (step, raw, result) in enumerate(steps)
    )
    return f"<think>{thoughts}.</think>\nThe answer is \\boxed{{{steps[-1][2]}}}"


def guess(prompt: str, slip_rate: float, rng: random.Random) -> str:
    """An answer without a step: right by luck, one time in ten."""
    return f"\\boxed{{{rng.randint(0, 9)}}}"


STYLES = {"careful": careful, "terse": terse, "rambling": rambling, "guess": guess}
