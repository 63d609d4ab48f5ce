"""Which questions are worth asking: each once, and none that a benchmark of the recipe will ask."""

from dataclasses import replace

from ded_ray.curate.contamination import BenchmarkIndex, ContaminationHit
from ded_ray.curate.duplicates import SeenQuestions
from ded_ray.curate.words import words
from ded_ray.recipe import Questions
from ded_ray.records import Problem


def choose_questions(
    problems: list[Problem], benchmarks: dict[str, list[Problem]], config: Questions
) -> tuple[list[Problem], list[ContaminationHit]]:
    """(the problems, each with its reason not to be asked or none; what was found of benchmarks).

    Reasons: in_benchmark (the same question), near_benchmark (a common run of words), duplicate_prompt, near_duplicate. A
    problem that was dropped before keeps its reason, and is no question that another one repeats.
    """
    matches = BenchmarkIndex(benchmarks, config.ngram).find(words(problem.prompt) for problem in problems)
    seen, chosen, hits = SeenQuestions(config.near_duplicate), [], []
    reason: str | None
    for problem, match in zip(problems, matches, strict=True):
        if problem.dropped_because is not None:
            reason = problem.dropped_because
        elif match:
            reason, *where = match
            hits.append(ContaminationHit(problem.problem_id, *where))
        else:
            reason = seen.duplicate_reason(words(problem.prompt))
        chosen.append(replace(problem, dropped_because=reason))
    return chosen, hits
