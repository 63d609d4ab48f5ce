"""Which questions are worth asking: each once, and none that a benchmark of the recipe will ask."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ded_ray.recipe import Questions
from ded_ray.records import Problem, stable_hash

SHINGLE = 5
"""Words of the runs by which near duplicates are known."""

SHORTEST = 4
"""Words that a benchmark's question needs to be looked for inside others; a shorter one is only compared as a whole."""

_MARKUP = re.compile(r"\\(?:left|right|displaystyle|[()\[\],;:! ])|[${}~]")
_AROUND_OPERATORS = re.compile(r"\s*([-+*/=<>^])\s*")

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A question that was dropped because of a benchmark, and the words that gave it away."""

    problem_id: str
    benchmark: str
    benchmark_problem_id: str
    match: str


def words(text: str) -> Words:
    """What is compared: words without case, punctuation at their ends, the markup of formulas, and where lines break."""
    plain = _AROUND_OPERATORS.sub(r"\1", _MARKUP.sub("", text.replace("\\dfrac", "\\frac").casefold()))
    return tuple(stripped for word in plain.split() if (stripped := word.strip(".,;:!?\"'`()[]")))


def choose_questions(problems: list[Problem], benchmarks: dict[str, list[Problem]], knobs: Questions) -> list[Hit]:
    """Mark the problems that are not to be asked: in_benchmark (the same question), near_benchmark (a common run of words),
    duplicate_prompt, near_duplicate. Returns what was found of benchmarks.
    """
    known, earlier = Known(benchmarks, knobs.ngram), Earlier(knobs.near_duplicate)
    hits = []
    for problem in problems:
        said = words(problem.prompt)
        if hit := known.find(said):
            problem.dropped_because, *found = hit
            hits.append(Hit(problem.problem_id, *found))
        else:
            problem.dropped_because = earlier.like(said)
    return hits


class Known:
    """All that the benchmarks ask, by what gives it away."""

    def __init__(self, benchmarks: dict[str, list[Problem]], ngram: int | None) -> None:
        self._whole: dict[Words, tuple[str, str]] = {}
        self._runs: dict[int, dict[Words, tuple[str, str]]] = {}  # by their length
        for name, asked in benchmarks.items():
            for problem in asked:
                said, where = words(problem.prompt), (name, problem.problem_id)
                self._whole.setdefault(said, where)
                length = min(ngram, len(said)) if ngram else 0
                if ngram and length >= min(SHORTEST, ngram):
                    for run in runs(said, length):
                        self._runs.setdefault(length, {}).setdefault(run, where)

    def find(self, said: Words) -> tuple[str, str, str, str] | None:
        """(reason to drop, benchmark, id of its problem, matching text) of the first match; None if there is none."""
        if where := self._whole.get(said):
            return "in_benchmark", *where, " ".join(said)
        for length, known in self._runs.items():
            for run in runs(said, length):
                if where := known.get(run):
                    return "near_benchmark", *where, " ".join(run)
        return None


class Earlier:
    """The questions before this one."""

    def __init__(self, threshold: float | None) -> None:
        self._threshold, self._whole = threshold, set[Words]()
        self._shingles: list[np.ndarray] = []
        if threshold is not None:
            from datasketch import MinHashLSH

            self._index: Any = MinHashLSH(threshold=threshold, num_perm=64)

    def like(self, said: Words) -> str | None:
        """The reason to drop a question that is like one before it; None remembers it, for those after it."""
        if said in self._whole:
            return "duplicate_prompt"
        self._whole.add(said)
        if self._threshold is None or len(said) < SHINGLE:
            return None
        from datasketch import MinHash

        texts = sorted({" ".join(run) for run in runs(said, SHINGLE)})
        sketch = MinHash(num_perm=64, seed=1)
        sketch.update_batch([text.encode() for text in texts])
        shingles = np.array([int(stable_hash(text), 16) for text in texts], np.uint64)
        for other in sorted(self._index.query(sketch)):  # candidates; what counts is the true similarity
            common = len(np.intersect1d(shingles, self._shingles[other]))
            if common >= self._threshold * (len(shingles) + len(self._shingles[other]) - common):
                return "near_duplicate"
        self._index.insert(len(self._shingles), sketch)
        self._shingles.append(shingles)
        return None


def runs(said: Words, length: int) -> Iterator[Words]:
    """All runs of so many words, in order."""
    return (said[i : i + length] for i in range(len(said) - length + 1))
