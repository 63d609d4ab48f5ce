"""Which questions are worth asking: each once, and none that a benchmark of the recipe will ask."""

from ded_ray.curate.contamination import Hit, Known
from ded_ray.curate.duplicates import Earlier
from ded_ray.curate.wording import words
from ded_ray.recipe import Questions
from ded_ray.records import Problem


def choose_questions(problems: list[Problem], benchmarks: dict[str, list[Problem]], knobs: Questions) -> list[Hit]:
    """Mark the problems that are not to be asked: in_benchmark (the same question), near_benchmark (a common run of words),
    duplicate_prompt, near_duplicate. Returns what was found of benchmarks.
    """
    matches = Known(benchmarks, knobs.ngram).find(words(problem.prompt) for problem in problems)
    earlier, hits = Earlier(knobs.near_duplicate), []
    for problem, match in zip(problems, matches, strict=True):
        if match:
            problem.dropped_because, *found = match
            hits.append(Hit(problem.problem_id, *found))
        else:
            problem.dropped_because = earlier.like(words(problem.prompt))
    return hits
