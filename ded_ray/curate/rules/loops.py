"""Repetition: the same over and over, as models write that have lost their way. Our own rule; DED has none.

Words: the distances between equal runs of RUN words say which periods are worth a look; then every word is compared with
the one that many words before it. Characters, in a stretch that no space breaks (`wait,wait,wait,`): the same with every
period up to LONGEST_UNIT. Rules and borders of tables (`-----`) are no loops, unless they are most of the text.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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

LONGEST_UNIT = 100
"""Characters of what a loop without spaces repeats, at most."""

SHORTEST = 60
"""Characters of a loop without spaces, at least: a string in a puzzle is shorter."""

SHORTEST_NUMBER = 200
"""The same of digits: a googol, or 1/7 to a hundred places, is no loop."""

MOST = 0.5
"""Of the text: what neither letter nor digit takes part in is a loop only above this share."""

_UNBROKEN = re.compile(rf"\S{{{SHORTEST},}}|\s{{{SHORTEST},}}")
_NUMBER_SIGNS = frozenset("0123456789,_+;|&")

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
    (("ok,ok," * 40 + "The answer is 5.", 90, "?", {}), True),
    (("Ha" + "ha" * 60 + " 5", 60, "?", {}), True),
    (("So " + "0" * 300 + " is the answer.", 90, "?", {}), True),
    (("See 2.2." + "2." * 60, 90, "?", {}), True),
    (("The answer:" + "\n" * 100 + "5", 20, "?", {}), True),
    (("\n \t" * 50 + "5", 20, "?", {}), True),
    (("ok,ok," * 40 + "The answer is 5.", 90, "?", {"max_loop": None}), False),
    (("ok," * 15 + "the answer is 5.", 30, "?", {}), False),  # 45 characters are soon read
    (("1/7 = 0." + "142857" * 16 + ", so 1/7.", 60, "?", {}), False),
    (("A googol is 1" + "0" * 100 + ".", 60, "?", {}), False),
    (("10^100 = 1" + ",000" * 33, 60, "?", {}), False),
    (("The array is [" + "0," * 50 + "0].", 110, "?", {}), False),
    (("First.\n" + "-" * 80 + "\nThen 2 + 3 = 5, as one sees at once, and nothing is left to do. " * 2, 40, "?", {}), False),
    (
        (
            "| a | b | c | d |\n" + "|-----" * 14 + "|\n| 1 | 2 | 3 | 4 |\n" + "That is all that we need. Or is there more? "
            "Let us look once again at the second row and see.",
            40,
            "?",
            {},
        ),
        False,
    ),
    (
        (
            "| a | b |\n|" + " --- |" * 12 + "\n| 1 | 2 |\nThat is all that we need. Or is there more? "
            "Let us look once again at the second row and see.",
            40,
            "?",
            {},
        ),
        False,
    ),
    (("-" * 500 + " 5", 60, "?", {}), True),
    (("- " * 100 + "5", 101, "?", {}), True),
    (("    " * 30 + "return 5", 20, "?", {}), True),
    (
        (
            "def f(x):\n" + " " * 60 + "return x + 1  # and this is where it goes back to the caller with its result",
            30,
            "?",
            {},
        ),
        False,
    ),
    (
        ("https://example.org/a-long-path-of-many-words/that-differ/every-time/index.html 5", 30, "?", {}),
        False,
    ),
]


def drops(answer: Answer, config: Quality) -> bool:
    if config.max_loop is None:
        return False
    text, words = answer.completion, split(answer.completion)
    most = max(MOST, config.max_loop)
    if longest_loop(words) > config.max_loop * len(words):
        ids, periods, spoken = _numbered(words), _periods(words), _marks(words, _is_spoken)
        signs = _without(ids, spoken)
        if _longest(ids, periods, spoken) > config.max_loop * len(words) or _longest(signs, periods) > most * len(words):
            return True
    unbroken = [part for part in _UNBROKEN.findall(text) if len(part) > config.max_loop * len(text)]
    return any(_is_looped(part, config.max_loop * len(text), most * len(text)) for part in unbroken)


def longest_loop(words: list[str]) -> int:
    """Words of the longest stretch that repeats its beginning TIMES times or more, one after the other; 0 for none."""
    return _longest(_numbered(words), _periods(words))


def _is_looped(part: str, limit: float, limit_of_signs: float) -> bool:
    """Whether a loop in a text without spaces, or of nothing else, has more characters than a limit."""
    ids = np.frombuffer(part.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    periods = range(1, min(LONGEST_UNIT, len(part) // TIMES) + 1)
    if _longest(ids, periods) <= limit:
        return False
    spoken, in_no_number = _marks(part, _is_spoken), _marks(part, lambda sign: sign not in _NUMBER_SIGNS)
    return (
        _longest(ids, periods, spoken, in_no_number) >= max(limit, SHORTEST)
        or _longest(ids, periods, spoken) >= max(limit, SHORTEST_NUMBER)
        or _longest(_without(ids, spoken), periods) > limit_of_signs
    )


def _is_spoken(token: str) -> bool:
    return "\n" in token or any(map(str.isalnum, token))


def _marks(tokens: Sequence[str], is_marked: Callable[[str], bool]) -> np.ndarray:
    """Of each token whether it is marked."""
    marks = {token: is_marked(token) for token in set(tokens)}
    return np.array([marks[token] for token in tokens], bool)


def _without(ids: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Numbers of tokens, of which the marked ones are like no other."""
    return np.where(marked, -1 - np.arange(len(ids)), ids)


def _numbered(words: list[str]) -> np.ndarray:
    numbers = {word: i for i, word in enumerate(dict.fromkeys(words))}
    return np.array([numbers[word] for word in words])


def _periods(words: list[str]) -> list[int]:
    """From a run of words to where it last stood. (A loop may say one thing twice, but hardly all of it.)"""
    last_at: dict[tuple[str, ...], int] = {}
    found: Counter[int] = Counter()
    for i, run in enumerate(zip(*(islice(words, j, None) for j in range(RUN)), strict=False)):
        if run in last_at:
            found[i - last_at[run]] += 1
        last_at[run] = i
    return [period for period, _ in found.most_common(MOST_PERIODS)]


def _longest(ids: np.ndarray, periods: Iterable[int], *marks: np.ndarray) -> int:
    """Tokens of the longest stretch that repeats with one of the periods TIMES times, and holds one of each of `marks`."""
    longest, counts = 0, [np.concatenate([[0], np.cumsum(mark)]) for mark in marks]
    for period in periods:
        differ = np.flatnonzero(ids[period:] != ids[:-period])
        starts, ends = np.concatenate([[0], differ + 1]), np.concatenate([differ, [len(ids) - period]]) + period
        is_loop = ends - starts >= max(TIMES * period, longest + 1)
        for count in counts:
            is_loop &= count[ends] > count[starts]
        longest = max(longest, int((ends - starts)[is_loop].max(initial=0)))
    return longest
