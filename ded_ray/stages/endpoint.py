"""Measuring a model that is served elsewhere: an evaluation without a run."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.evaluate.benchmarks import NAMES, benchmark
from ded_ray.recipe import BenchmarkProblems, Recipe
from ded_ray.recipe.load import recipe_of
from ded_ray.run import Run
from ded_ray.sources.problems import data_sets, read_problems
from ded_ray.stages.answers import answered_stage
from ded_ray.stages.evaluate import Measured, evaluate_models
from ded_ray.stages.results import report

KEYS = ("DED_RAY_API_KEY", "OPENAI_API_KEY")
"""Where an endpoint's token is looked for, in this order."""


def named_benchmarks(names: str, num_samples: int | None = None, recipe: Recipe | None = None) -> list[dict[str, Any]]:
    """`gsm8k,aime24=my/file.jsonl` as a recipe has them. Raises BadInput for a name that no benchmark has.

    A benchmark's domain is what `recipe` says of it; else "in" if the recipe trains on the same data set; else "out".
    """
    found = []
    for each in filter(None, (part.strip() for part in names.split(","))):
        name, _, path = each.partition("=")
        if name not in NAMES:
            raise BadInput(f"--benchmarks: there is no {name!r}; there are {', '.join(NAMES)}")
        problems = {"kind": "benchmark", "name": name} | ({"path": str(Path(path).absolute())} if path else {})
        samples, domain = num_samples or benchmark(name).NUM_SAMPLES, _domain(name, problems, recipe) if recipe else "out"
        found.append({"name": name, "domain": domain, "problems": problems, "num_samples": samples})
    if not found:
        raise BadInput(f"--benchmarks: name at least one of {', '.join(NAMES)}")
    return found


def _domain(name: str, problems: dict[str, Any], recipe: Recipe) -> str:
    own, known = data_sets(BenchmarkProblems(**problems)), recipe.evaluate.benchmarks
    called_so = [each for each in known if each.name == name]
    for each in called_so or [each for each in known if own & data_sets(each.problems)]:
        return each.domain
    return "in" if any(own & data_sets(source) for source in recipe.problems) else "out"


def endpoint_recipe(url: str, model: str, benchmarks: Sequence[dict[str, Any]], overrides: list[str]) -> Recipe:
    """What is measured, as a recipe that a folder can keep: the endpoint's model is its student and its teacher.

    Raises BadInput.
    """
    key = next((name for name in KEYS if os.environ.get(name)), "")
    asked = {"model": model, "engine": {"kind": "openai", "base_url": url, "api_key_env": key}}
    raw = {
        "name": re.sub(r"[^\w.-]+", "-", model),
        "problems": benchmarks[0]["problems"],
        "student": asked,
        "teacher": asked,
        "evaluate": {"benchmarks": list(benchmarks)},
    }
    return recipe_of(raw, "--url", overrides)


def evaluate_endpoint(recipe: Recipe, folder: Path) -> Run:
    """Ask the endpoint every benchmark, and report; goes on where it was. Raises BadInput before anything is asked."""
    benchmarks = {b.name: read_problems(b.problems) for b in recipe.evaluate.benchmarks}
    engine, config = recipe.student.engine, recipe.evaluate
    parts = [config.identity(), recipe.verify.identity(), recipe.seed, recipe.student.model, engine.identity()]
    rows = {name: [problem.to_row() for problem in problems] for name, problems in benchmarks.items()}
    with Run.held(folder, recipe) as run:
        stage = answered_stage(run, f"evaluate_{recipe.name}", [*parts, rows], [])
        if not stage.done:
            evaluate_models([(stage, Measured(recipe.name, recipe.student, recipe.student.model))], benchmarks, recipe)
        report(run, [stage])
    return run
