"""Decontamination: none of the questions that a benchmark of the recipe asks is trained on.

A question that has a run of 13 words in common with a benchmark's is dropped (GPT-3, arXiv 2005.14165, appendix C). Shorter
questions have no such run, and runs of words alone would never find them: they are looked for as a whole, our own rule.
Neither DED nor AdvDistill says how, or whether, it was done.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ded_ray.curate.words import Words, runs, words
from ded_ray.records import Problem

SHORTEST = 4
"""Words that a benchmark's question needs to be looked for inside others; a shorter one is only compared as a whole."""

MOST_QUESTIONS = 10
"""A run of words that more questions have is boilerplate, such as how an answer is to be given, and gives none away. (GPT-3
left out what more than 10 of its documents had.)"""

CASES = [
    (("What is the square root of 144, please?", "What is the square root of 144?", 13), "near_benchmark"),
    (("what is the SQUARE root\nof 144", "What is the square root of 144?", 13), "in_benchmark"),
    (("What is the square root of 169?", "What is the square root of 144?", 13), None),
    (("Sort: 4821 and more words", "Sort: 4821", 13), None),  # two words say too little
    (("sort 4821!", "Sort: 4821", 13), "in_benchmark"),
    (("a b c d e f g and then", "Now a b c d e f g", 8), None),
    (("a b c d e f g and then", "Now a b c d e f g", 7), "near_benchmark"),
    (("a b c d e f g and then", "Now a b c d e f g", None), None),
]
"""((question, a benchmark's, words of a run), why it is dropped)"""


@dataclass(frozen=True, slots=True)
class ContaminationHit:
    """A question that was dropped because of a benchmark, and the words that gave it away."""

    problem_id: str
    benchmark: str
    benchmark_problem_id: str
    match: str


Match = tuple[str, str, str, str]
"""(reason to drop, benchmark, id of its problem, matching text)"""


class BenchmarkIndex:
    """All that the benchmarks ask, by what gives it away."""

    def __init__(self, benchmarks: dict[str, list[Problem]], ngram: int | None) -> None:
        self._ngram = ngram
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

    def find(self, asked: Iterable[Words]) -> list[Match | None]:
        """Of each question the first match, None where there is none or only boilerplate."""
        shared, common, different = list[Match | list[Words]](), Counter[Words](), set[int]()
        for said in asked:
            if where := self._whole.get(said):
                shared.append(("in_benchmark", *where, " ".join(said)))
                continue
            shared.append(found := self._shared(said))
            if found and hash(said) not in different:  # the same question twice is no boilerplate
                different.add(hash(said))
                common.update(run for run in found if len(run) == self._ngram)
        return [found if isinstance(found, tuple) else self._first(found, common) for found in shared]

    def _shared(self, said: Words) -> list[Words]:
        """The runs of words that a question has in common with benchmarks, in order, each once."""
        every = (run for length, known in self._runs.items() for run in runs(said, length) if run in known)
        return list(dict.fromkeys(every))

    def _first(self, found: list[Words], common: Counter[Words]) -> Match | None:
        run = next((run for run in found if common[run] <= MOST_QUESTIONS), None)
        return ("near_benchmark", *self._runs[len(run)][run], " ".join(run)) if run else None
