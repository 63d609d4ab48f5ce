"""The whole story in order. READ THIS FIRST.

    ded-ray quickstart --out runs/quickstart
    ded-ray run jobs/recipes/own_data.yaml --out runs/mine

Problems go in; the student answers them, which shows what it does not know yet; the teachers, or the one that teaches
best, answer what is left; verifiers reward every answer; the best and most diverse are kept and weighted; the student is
trained on them, served, and measured against its base and its teacher. Every stage leaves a folder; a stage whose folder
still fits is skipped.

Left out of this file: how a step does its work (`stages/`, a file per step), how a stage knows that it still fits
(`run.py`), what a knob means (`recipe/`).
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.plan.plan import Plan
from ded_ray.recipe import Prices, Recipe, Teacher
from ded_ray.recipe.load import load_recipe
from ded_ray.records import Group, Problem
from ded_ray.run import LookedAt, NotDone, Run, Stage
from ded_ray.stages.answers import answers
from ded_ray.stages.endpoint import endpoint_recipe, evaluate_endpoint, named_benchmarks
from ded_ray.stages.evaluate import evaluate
from ded_ray.stages.inputs import Inputs, check_comparable, read_inputs, read_sources, why_refused
from ded_ray.stages.mix import mix_subjects
from ded_ray.stages.plan import plan_run, write_plan
from ded_ray.stages.problems import choose_problems, kept_problems, write_problems
from ded_ray.stages.results import check_domains, report
from ded_ray.stages.sample import run_sample
from ded_ray.stages.smoke_test import choose_teachers, chosen_teachers, smoke_test
from ded_ray.stages.train import train_student


def run_pipeline(recipe: Recipe, folder: Path) -> Run:
    """Make, or finish, the run in this folder. Raises BadInput before anything is written."""
    inputs = read_inputs(recipe)
    with Run.held(folder, recipe) as run:
        write_plan(run, inputs)
        checkpoint, evaluations = make(run, inputs)
        report(run, evaluations, checkpoint)
        check_domains(run)
    return run


def make(run: Run, inputs: Inputs) -> tuple[Stage, list[Stage]]:
    """(the trained student, what each model was measured to be), made where they are not there yet."""
    problems = choose_problems(run, inputs)
    teachers = choose_teachers(run, inputs, problems)
    questions = ask_student(run, inputs, problems)
    curated = ask_teachers(run, inputs, questions, teachers)
    curated = mix_subjects(run, curated)
    checkpoint = train_student(run, curated)
    return checkpoint, evaluate(run, inputs, checkpoint, teachers)


def plan_pipeline(recipe: Recipe) -> Plan:
    """What `run_pipeline` would do with this recipe. Writes nothing. Raises BadInput."""
    return plan_run(recipe, read_inputs(recipe))


def plan_spending(recipe: Recipe, folder: Path | None = None, *, prices: Prices, sample: int = 0) -> Plan:
    """The same with what it costs, also where models are not at hand, or will not fit; and what the run in this folder has
    done of it. With `sample`, every model answers so many prompts first, into that folder. Raises BadInput."""
    inputs = read_sources(recipe)
    if sample:
        run_sample(recipe, folder, num_prompts=sample)
    looked_at = None if folder is None else LookedAt(folder, recipe)
    if looked_at is not None:
        with suppress(NotDone):
            make(looked_at, inputs)
    fitting = looked_at.fitting if looked_at else ()
    return plan_run(recipe, inputs, prices=prices, folder=folder, fitting=fitting, refusal=why_refused(inputs, recipe))


def ask_student(run: Run, inputs: Inputs, problems: Stage) -> Stage:
    """The student first: its pass rate says which questions the expensive teacher need not answer (DED, compression)."""
    from ded_ray.curate.ray_data import questions

    recipe = run.recipe
    if not recipe.student.measure_pass_rate:
        stage = run.stage("questions", [], [problems])
        if not stage.done:
            write_problems(stage, kept_problems(problems))
        return stage
    return answers(
        run, inputs, "student", problems, models=[recipe.student],
        into="questions", parts=[recipe.curate.compress], record=Problem,
        transform=lambda groups: questions(groups, recipe.curate),
    )  # fmt: skip


def ask_teachers(run: Run, inputs: Inputs, questions: Stage, teachers: Sequence[Teacher]) -> Stage:
    """The teachers answer what survived; their answers are verified and curated while they are still answering."""
    from ded_ray.curate.ray_data import curate
    from ded_ray.train.preflight import longest_sequence
    from ded_ray.verify.ray_data import reward

    recipe = run.recipe
    config, student, max_length = recipe.curate, recipe.student, longest_sequence(recipe.student, recipe.train)
    parts = [recipe.rewards, config.quality, config.diversity, config.weights, student.model, recipe.seed, max_length]
    return answers(
        run, inputs, "teacher", questions, models=teachers,
        into="curated", parts=[*parts, *student.chat.parts()], record=Group,
        transform=lambda groups: curate(
            reward(groups, recipe.rewards), config, student, recipe.seed, max_length=max_length
        ),
    )  # fmt: skip


def choose_teacher(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """The smoke test alone, in a run's folder: what teachers.json holds. `run_pipeline` goes on from there."""
    check_comparable(recipe)
    inputs = read_inputs(recipe)
    with Run.held(folder, recipe) as run:
        return smoke_test(run, inputs, choose_problems(run, inputs))


def evaluate_again(
    folder: Path | None, *, benchmarks: str = "", samples: int | None = None, overrides: list[str] | None = None
) -> Run:
    """Measure a finished run's models again, on other `benchmarks` or with other knobs of `evaluate` if there are any.

    Nothing is trained again, and no sample that is there already is asked for again. Raises BadInput.
    """
    if folder is None:
        raise BadInput("evaluate: name the folder of a run, or an endpoint by --url, --model and --out")
    opened = Run.open(folder)
    checkpoint = opened.finished_stage("checkpoint")
    named = named_benchmarks(benchmarks, samples, opened.recipe) if benchmarks else []
    others = [f"evaluate.benchmarks={json.dumps(named)}"] if named else []
    recipe = load_recipe(folder / "recipe.yaml", [*others, *(overrides or [])])
    if recipe.model_copy(update={"evaluate": opened.recipe.evaluate}) != opened.recipe:
        raise BadInput("--set: evaluate only takes knobs of evaluate; use ded-ray run for the others")
    inputs = read_inputs(recipe)
    with Run.held(folder, recipe) as run:
        for old in folder.glob("evaluate_*"):
            run.reopen(old.name)
        report(run, evaluate(run, inputs, checkpoint, chosen_teachers(run)), checkpoint)
        check_domains(run)
    return run


def measure_endpoint(
    url: str, model: str, folder: Path | None, *, benchmarks: str, samples: int | None = None,
    overrides: list[str] | None = None,
) -> Run:  # fmt: skip
    """Measure a model of any OpenAI-compatible endpoint on known benchmarks; its answers, scores and report go to a folder.

    Raises BadInput.
    """
    if not model or folder is None:
        raise BadInput("evaluate --url: also give --model, --benchmarks and --out")
    recipe = endpoint_recipe(url, model, named_benchmarks(benchmarks, samples), overrides or [])
    return evaluate_endpoint(recipe, folder)
