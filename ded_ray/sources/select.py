"""Which problems are worth asking at all: each prompt once, and none that a benchmark will ask."""

from collections.abc import Iterable

from ded_ray.records import Problem


def _normalized(prompt: str) -> str:
    return " ".join(prompt.casefold().split())


def select(problems: list[Problem], benchmark_problems: Iterable[Problem]) -> list[Problem]:
    """The same problems, those not to be asked marked `in_benchmark` or `duplicate_prompt`.

    Exact matches after folding case and white space.
    """
    benchmarked = {_normalized(problem.prompt) for problem in benchmark_problems}
    seen: set[str] = set()
    for problem in problems:
        prompt = _normalized(problem.prompt)
        if prompt in benchmarked:
            problem.dropped_because = "in_benchmark"
        elif prompt in seen:
            problem.dropped_because = "duplicate_prompt"
        seen.add(prompt)
    return problems
