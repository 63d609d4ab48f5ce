"""Which completions are picked: the greedy rules against the full matrix of distances, and the others by hand."""

import json
import random
from itertools import groupby

import pytest
from conftest import shared
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ded_ray.curate.diversity import farthest, pick
from ded_ray.recipe import Diversity

TEXTS = st.lists(st.lists(st.integers(0, 3), max_size=8).map(tuple), max_size=9, unique=True)


def by_the_full_matrix(texts, num_kept, by_sum):
    """The definition: the shortest first, then always the farthest by its nearest pick, or by the sum."""
    far = sum if by_sum else min
    picks = [min(range(len(texts)), key=lambda i: (len(texts[i]), i))] if texts else []
    while len(picks) < min(num_kept, len(texts)):
        rest = [i for i in range(len(texts)) if i not in picks]
        picks.append(max(rest, key=lambda i: (far(Levenshtein.distance(texts[i], texts[p]) for p in picks), -i)))
    return picks


@given(TEXTS, st.integers(1, 9), st.booleans())
def test_the_bounds_change_no_pick(texts, num_kept, by_sum):
    assert farthest(texts, num_kept, by_sum=by_sum) == by_the_full_matrix(texts, num_kept, by_sum)


def counting(texts, num_kept, by_sum=False):
    calls = []

    def distance(*pair, **config):
        calls.append(pair)
        return Levenshtein.distance(*pair, **config)

    return farthest(texts, num_kept, by_sum=by_sum, distance=distance), len(calls)


def test_the_bounds_save_distances_of_real_rollouts():
    rows = [json.loads(line) for line in shared("gsm8k_rollouts.jsonl").read_text().splitlines()]
    measured = pairs = 0
    for _, rollouts in groupby(rows, key=lambda row: row["problem_id"]):
        texts = sorted({tuple(row["completion"].split()) for row in rollouts})
        for by_sum in (False, True):
            assert counting(texts, 4, by_sum)[0] == by_the_full_matrix(texts, 4, by_sum)
            picks, calls = counting(texts, 2, by_sum)
            assert picks == by_the_full_matrix(texts, 2, by_sum)
            if not by_sum:
                measured, pairs = measured + calls, pairs + len(texts) * (len(texts) - 1) // 2
    assert measured < 0.6 * pairs


def test_the_bounds_save_half_of_the_distances_of_eight():
    rng = random.Random(0)
    for _ in range(20):
        texts = [tuple(rng.choices(range(50), k=rng.randint(60, 80))) for _ in range(8)]
        picks, calls = counting(texts, 4)
        assert picks == by_the_full_matrix(texts, 4, by_sum=False)
        assert calls <= 14


def test_farthest_by_hand():
    words = ["aaaa", "aaab", "bbbb", "cccc", "aaaaa"]
    assert farthest(words, 3) == [0, 2, 3]
    assert farthest([], 4) == []
    assert farthest(words, 1) == [0]


@pytest.mark.parametrize("rule", ["farthest", "farthest_sum", "random", "longest", "shortest", "lowest_rsr"])
def test_an_equal_completion_is_never_picked_beside_its_like(rule):
    texts = ["ab", "ab", "b", "b", ""]
    picks = pick(texts, Diversity(num_kept=4, pick=rule), "seed", [1.0, 1.0, 0.5, 0.5, None])
    assert sorted(picks) == [0, 2, 4]
    assert (
        pick(texts, Diversity(num_kept=2, pick=rule), "seed", [1.0] * 5)
        == pick(texts, Diversity(num_kept=3, pick=rule), "seed", [1.0] * 5)[:2]
    )


def test_the_other_rules_by_hand():
    texts = ["aaa", "b", "cc"]
    assert pick(texts, Diversity(num_kept=2, pick="longest"), "", [None] * 3) == [0, 2]
    assert pick(texts, Diversity(num_kept=2, pick="shortest"), "", [None] * 3) == [1, 2]
    assert pick(texts, Diversity(num_kept=3, pick="lowest_rsr"), "", [2.0, None, 1.5]) == [2, 0, 1]
    assert pick(texts, Diversity(num_kept=None, pick="longest"), "", [None] * 3) == [0, 1, 2]
    several = {tuple(pick(texts, Diversity(num_kept=2, pick="random"), str(seed), [None] * 3)) for seed in range(50)}
    assert len(several) == 6
