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
