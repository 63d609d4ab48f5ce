"""Repetition: the same words over and over, as models write that have lost their way. Our own rule; DED has none.

Found in one pass: where every run of RUN words equals the one `period` words before it, words repeat with that period.
"""

from itertools import islice

from ded_ray.curate.rules.answer import Answer, Case
from ded_ray.recipe import Quality

NAME = "loops"

RUN = 4
"""Words that have to be equal at once: shorter ones are equal by chance."""

TIMES = 4
"""So often in a row is a loop; a check that is made three times is none."""

CASES: list[Case] = [
    (("Wait, let me check that again. " * 4, 30, "?", {}), True),
    (("Wait, let me check that again. " * 3, 20, "?", {}), False),
    (("So it is 5. " + "no " * 20, 30, "?", {}), True),
    ((" ".join(f"Step {i}: {i} plus 2 is {i + 2}." for i in range(50)), 500, "?", {}), False),
    ((" ".join(map(str, range(100))) + " the end of it." * 5, 200, "?", {}), False),  # 20 of 120 words
    ((" ".join(map(str, range(100))) + " the end of it." * 5, 200, "?", {"max_loop": 0.1}), True),
    (("no " * 20, 20, "?", {"max_loop": None}), False),
    (("", 0, "?", {}), False),
]


def drops(answer: Answer, knobs: Quality) -> bool:
    if knobs.max_loop is None:
        return False
    words = answer.completion.split()
    return longest_loop(words) > knobs.max_loop * len(words)


def longest_loop(words: list[str]) -> int:
    """Words of the longest stretch that repeats its beginning TIMES times or more, one after the other; 0 for none."""
    last_at: dict[tuple[str, ...], int] = {}
    longest = length = period = 0
    for i, run in enumerate(zip(*(islice(words, j, None) for j in range(RUN)), strict=False)):
        now = i - last_at.get(run, i)
        last_at[run] = i
        # `length` words from here back repeat with this period, the run itself included.
        length = (length + 1 if now == period else now + RUN) if now else 0
        period = now
        if now and length >= TIMES * now:
            longest = max(longest, length)
    return longest
