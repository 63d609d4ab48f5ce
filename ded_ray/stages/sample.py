"""A few prompts answered before the rest, so that a plan need not guess. Nothing is paid for twice: the run finds them."""

import sys
from pathlib import Path
from random import Random

from ded_ray.curate.questions import choose_questions
from ded_ray.errors import BadInput
from ded_ray.files.folders import make
from ded_ray.generate.identity import GenerateJob
from ded_ray.plan.work import models_of_work
from ded_ray.recipe import Recipe
from ded_ray.records import Problem
from ded_ray.run import Run
from ded_ray.stages.answers import quarantine_of, verified_answers
from ded_ray.stages.inputs import Inputs, read_inputs
from ded_ray.stages.problems import write_problem_file
from ded_ray.stages.spending import spending

SAMPLE = "_sample"
"""The folder of the prompts that are drawn."""


def run_sample(recipe: Recipe, folder: Path | None, *, num_prompts: int) -> None:
    """The student and every teacher answer the same prompts, drawn by the recipe's seed, into the folder of the run.

    Raises BadInput, and Stopped when the budget is spent.
    """
    if folder is None:
        raise BadInput("--sample: name the folder of the run with --out; its answers are kept there, and used by the run")
    inputs = read_inputs(recipe)
    chosen, _ = choose_questions(inputs.problems, inputs.benchmarks, recipe.curate.questions)
    kept = [problem for problem in chosen if problem.dropped_because is None]
    with Run.held(folder, recipe) as run:
        _ask(run, inputs, Random(recipe.seed).sample(kept, min(num_prompts, len(kept))))


def _ask(run: Run, inputs: Inputs, problems: list[Problem]) -> None:
    recipe = run.recipe
    drawn = make(run.folder / SAMPLE)
    write_problem_file(drawn, problems)
    student, teachers = models_of_work(recipe)
    from ded_ray.runtime.connect import start_ray
    from ded_ray.runtime.needs import check_gpus, streaming_needs

    start_ray(recipe)
    for stage, models in (
        ("student_rollouts", [student] * recipe.student.measure_pass_rate),
        ("teacher_rollouts", teachers),
    ):
        for model in models:
            check_gpus([model.generator], recipe.train)
            for line in inputs.prompt_previews(model.knob):
                print(line, file=sys.stderr)
            job = GenerateJob(model.generator, recipe.seed, run.folder / stage, quarantine_of(run))
            needs = streaming_needs(recipe, [model.generator.engine])
            with (
                spending(run, stage, needs) as why_over,
                verified_answers(run, f"{model.knob}, a sample", [(job, drawn)], why_over=why_over) as groups,
            ):
                groups.count()
