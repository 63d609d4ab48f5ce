"""Repetition: the same words over and over, as models write that have lost their way. Our own rule; DED has none.

The distances between equal runs of RUN words say which periods are worth a look; then every word is compared with the one
that many words before it.
"""

from collections import Counter
from itertools import islice

import numpy as np

from ded_ray.curate.rules.answer import Answer, Case
from ded_ray.curate.words import split
from ded_ray.recipe import Quality

NAME = "loops"

RUN = 4
"""Words that have to be equal at once: shorter ones are equal by chance."""

TIMES = 4
"""So often in a row is a loop; a check that is made three times is none."""

MOST_PERIODS = 16
"""That are looked at, the most frequent first."""

CASES: list[Case] = [
    (("Wait, let me check that again. " * 4, 30, "?", {}), True),
    (("Wait, let me check that again. " * 3, 20, "?", {}), False),
    (("So it is 5. " + "no " * 20, 30, "?", {}), True),
    ((" ".join(f"Step {i}: {i} plus 2 is {i + 2}." for i in range(50)), 500, "?", {}), False),
    ((" ".join(map(str, range(100))) + " the end of it." * 5, 200, "?", {}), False),  # 20 of 120 words
    ((" ".join(map(str, range(100))) + " the end of it." * 5, 200, "?", {"max_loop": 0.1}), True),
    (("no " * 20, 20, "?", {"max_loop": None}), False),
    (("Wait, let me check that. Wait, let me check that. Hmm, no. " * 8, 96, "?", {}), True),  # it says one thing twice
    (("让我再想想。" * 9, 50, "?", {}), True),
    (("", 0, "?", {}), False),
]


def drops(answer: Answer, config: Quality) -> bool:
    if config.max_loop is None:
        return False
    words = split(answer.completion)
    return longest_loop(words) > config.max_loop * len(words)


def longest_loop(words: list[str]) -> int:
    """Words of the longest stretch that repeats its beginning TIMES times or more, one after the other; 0 for none."""
    numbers = {word: i for i, word in enumerate(dict.fromkeys(words))}
    ids = np.array([numbers[word] for word in words])
    return max((_stretch(ids, period) for period in _periods(words)), default=0)


def _periods(words: list[str]) -> list[int]:
    """From a run of words to where it last stood. (A loop may say one thing twice, but hardly all of it.)"""
    last_at: dict[tuple[str, ...], int] = {}
    found: Counter[int] = Counter()
    for i, run in enumerate(zip(*(islice(words, j, None) for j in range(RUN)), strict=False)):
        if run in last_at:
            found[i - last_at[run]] += 1
        last_at[run] = i
    return [period for period, _ in found.most_common(MOST_PERIODS)]


def _stretch(ids: np.ndarray, period: int) -> int:
    """Words of the longest stretch that repeats with this period, if it does so TIMES times."""
    differ = np.flatnonzero(ids[period:] != ids[:-period])
    longest = int(np.diff(np.concatenate([[-1], differ, [len(ids) - period]])).max()) - 1
    return longest + period if longest + period >= TIMES * period else 0
