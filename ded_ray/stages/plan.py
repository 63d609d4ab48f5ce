"""What a run of a recipe would do: `--dry-run` in rows and at most how many tokens, `ded-ray plan` with all it costs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ded_ray.curate.questions import choose_questions
from ded_ray.files.parts import write_atomically
from ded_ray.plan.cost import Coster
from ded_ray.plan.disk import disk_of
from ded_ray.plan.fit import GIB, Fit, fit_of_embedded, fit_of_training, fits_of
from ded_ray.plan.plan import Plan
from ded_ray.plan.shape import Shape, shape_of
from ded_ray.plan.work import KEPT, LEFT, LENGTH, UNCHECKED, Known, models_of_work, work_of
from ded_ray.recipe import Generator, Prices, Recipe, TransformersEngine, VllmEngine
from ded_ray.records import Problem, stable_hash
from ded_ray.run import Run, Stage
from ded_ray.stages.counts import count_problems, count_rollouts, rollouts_of_folder
from ded_ray.stages.inputs import Inputs, can_be_served
from ded_ray.stages.stored import Stored, stored_rollouts

PLAN_FILE = "plan.json"
NUM_COUNTED = 200
"""Prompts whose tokens are counted, the first ones; of more they are a sample."""
CHARACTERS_PER_TOKEN = 4
"""Where the model's tokenizer is not here. A guess, for English."""

Shapes = Mapping[str, Shape | None]


def plan_run(
    recipe: Recipe,
    inputs: Inputs,
    *,
    prices: Prices | None = None,
    folder: Path | None = None,
    fitting: Sequence[Stage] = (),
    refusal: str | None = None,
) -> Plan:
    """The plan of a recipe whose sources were read. `folder` is a run's, with rollouts of an earlier one; `fitting` are its
    stages that need not be made again; `refusal` is why it would not begin at all."""
    prices = prices or Prices()
    if prices.usd_per_gpu_hour is None:
        prices = prices.model_copy(update={"usd_per_gpu_hour": recipe.budget.usd_per_gpu_hour})
    chosen, _ = choose_questions(inputs.problems, inputs.benchmarks, recipe.curate.questions)
    problems = [problem for problem in chosen if problem.dropped_because is None]
    models = dict(_models(recipe))
    shapes = {each.model: shape_of(each.model) for knob, each in models.items() if knob == "student" or can_be_served(each)}
    stored = {} if folder is None else _stored(recipe, folder, problems)
    mean, longest = _prompt_tokens(recipe, [*problems, *[each for some in inputs.benchmarks.values() for each in some]])
    known = Known(
        num_problems=len(problems),
        benchmarks={name: len(questions) for name, questions in inputs.benchmarks.items()},
        tokens={knob: found.tokens for knob, found in stored.items() if found.tokens is not None},
        prompt_tokens=mean,
        **_counted(fitting),
    )
    work = work_of(recipe, known)
    costs = Coster(recipe, known, shapes, prices).costs(work)
    fits = list(_fits(recipe, shapes, prices, longest))
    rows = [("problems", f"{len(problems)} of {len(inputs.problems)}")]
    for each in work:
        rows.append((each.label, each.at_most))
        if each.label == "train":
            rows += [("", str(fit)) for fit in fits if fit.what.startswith("train")]
    return Plan(
        rows=rows,
        prompt_preview=inputs.prompt_preview,
        warnings=inputs.warnings,
        costs=costs,
        fits=fits,
        disk=disk_of(costs, recipe, shapes[recipe.student.model]),
        impossible=[*([refusal] if refusal else []), *_impossible(fits)],
        bases=list(_bases(recipe, known, shapes, prices)),
        resumed=_resumed(stored, fitting),
    )


def write_plan(run: Run, inputs: Inputs) -> None:
    """plan.json in the run's folder: what its recipe was thought to take when it was first run there, to compare with
    later."""
    path, recipe = run.folder / PLAN_FILE, stable_hash(run.recipe.model_dump_json(exclude={"budget"}))
    if path.exists() and json.loads(path.read_text())["recipe"] == recipe:
        return
    plan = plan_run(run.recipe, inputs, folder=run.folder)
    write_atomically(path, json.dumps({"recipe": recipe, "steps": plan.to_json()}, indent=1) + "\n")


def _models(recipe: Recipe) -> Iterator[tuple[str, Generator]]:
    student, teachers = models_of_work(recipe)
    for model in [student, *teachers]:
        yield model.knob, model.generator
    if recipe.verify.judge is not None:
        yield "verify.judge", recipe.verify.judge


def _stored(recipe: Recipe, folder: Path, problems: Sequence[Problem]) -> dict[str, Stored]:
    """What is there already of each model's rollouts, by its knob."""
    student, teachers = models_of_work(recipe)
    places = {"student_rollouts": [student], "teacher_rollouts": teachers}
    return {
        model.knob: stored_rollouts(folder / name, model.generator, recipe.seed, problems)
        for name, models in places.items()
        for model in models
    }


def _counted(fitting: Sequence[Stage]) -> dict[str, int]:
    """What finished stages say of those that follow."""
    folders, counted = {stage.name: stage.folder for stage in fitting}, dict[str, int]()
    if "questions" in folders:
        counted["num_questions"] = count_problems(folders["questions"])[None]
    if folder := folders.get("mixed") or folders.get("curated"):
        counted["num_examples"] = count_rollouts(rollouts_of_folder(folder))[1][None]
    return counted


def _prompt_tokens(recipe: Recipe, problems: Sequence[Problem]) -> tuple[float, int]:
    """(mean, longest) number of tokens of a prompt, by the student's tokenizer if it is here."""
    from ded_ray.models.chat import ChatTokenizer

    if not problems:
        return 0.0, 0
    longest = max(problems, key=lambda problem: len(problem.prompt))
    some = [*problems[:NUM_COUNTED], longest]
    try:
        chat = ChatTokenizer(recipe.student.model, recipe.student.chat)
        counts = [len(chat.prompt_ids(problem.prompt)) for problem in some]
    except (OSError, ValueError):
        counts = [len(problem.prompt) // CHARACTERS_PER_TOKEN for problem in some]
    return sum(counts[:-1]) / len(counts[:-1]), max(counts)


def _fits(recipe: Recipe, shapes: Shapes, prices: Prices, longest: int) -> Iterator[Fit]:
    """Every model that answers on a GPU, those that the evaluation serves, and the training."""
    memory, answering = prices.gpu_memory_gib * GIB, {}
    for knob, generator in _models(recipe):
        shape, engine = shapes.get(generator.model), generator.engine
        if shape is None or not isinstance(engine, TransformersEngine | VllmEngine):
            continue
        if knob != "student" or recipe.student.measure_pass_rate:
            answering[knob] = shape, engine, longest + generator.sampling.max_tokens
    yield from fits_of(answering, memory)
    if (shape := shapes[recipe.student.model]) is not None:
        yield fit_of_training(shape, recipe.train, memory)
    needed = longest + recipe.evaluate.sampling.max_tokens
    for knob, generator in _models(recipe) if recipe.evaluate.benchmarks and recipe.serve.num_gpus else ():
        shape, form = shapes.get(generator.model), recipe.serve.engine or generator.engine
        if shape is not None and knob != "verify.judge" and isinstance(form, TransformersEngine):
            fit = fit_of_embedded("serve.engine", shape, recipe.serve.kv_cache_gib, memory, needed=needed)
            yield Fit(f"serve ({knob}), the GPU of an embedded engine", fit.parts, fit.limit, fit.note, fit.remedy)


def _impossible(fits: Sequence[Fit]) -> Iterator[str]:
    for fit in fits:
        if not fit.fits:
            remedy = f"smallest change: {fit.remedy}" if fit.remedy else "no knob helps; take larger GPUs or a smaller model"
            yield f"{fit.what}: needs {fit.total / GIB:.1f} GiB of {(fit.limit or 0) / GIB:.1f}; {remedy}"


def _bases(recipe: Recipe, known: Known, shapes: Shapes, prices: Prices) -> Iterator[str]:
    """What the numbers rest on, a line each: what was measured, what was guessed, what is unknown."""
    student, teachers = models_of_work(recipe)
    for model in [student] * recipe.student.measure_pass_rate + teachers:
        if measured := known.tokens.get(model.knob):
            yield f"tokens of {model.knob}: {measured} a completion, measured (95 % interval of the mean)"
        else:
            yield (f"tokens of {model.knob}: a guess, {LENGTH.low:.0%} to {LENGTH.high:.0%} of max_tokens "
                   f"{model.generator.sampling.max_tokens}; --sample measures")  # fmt: skip
    if recipe.student.measure_pass_rate and known.num_questions is None:
        yield f"questions that the student leaves: a guess, {LEFT.low:.0%} to {LEFT.high:.0%}"
    if known.num_examples is None:
        yield f"completions that are kept: a guess, {KEPT.low:.0%} to {KEPT.high:.0%}, then curate.diversity.num_kept"
    if recipe.verify.judge is not None:
        yield (f"the judge is asked about {UNCHECKED.low:.0%} to {UNCHECKED.high:.0%} of the answers, a guess, and its "
               "audit_rate of the others; its hours and GPUs are those of the steps whose answers it judges")  # fmt: skip
    for name in (name for name, shape in shapes.items() if shape is None):
        yield f"{name}: its configuration cannot be had here, so that its speed and memory are unknown"
    yield (f"speeds that --prices does not give: of a GPU with {prices.gpu_tflops:g} TFLOP/s and "
           f"{prices.gpu_terabytes_per_second:g} TB/s, by the formulas of ded_ray/plan/speed.py")  # fmt: skip
    if prices.usd_per_gpu_hour is None:
        yield "money: no price of a GPU-hour is given; set budget.usd_per_gpu_hour, or usd_per_gpu_hour in --prices"


def _resumed(stored: Mapping[str, Stored], fitting: Sequence[Stage]) -> list[str]:
    """What a run into this folder would not do again."""
    lines = [f"finished, and skipped: {', '.join(stage.name for stage in fitting)}"] if fitting else []
    return lines + [
        f"{knob}: {found.num_rollouts} rollouts of {found.num_groups} prompts are there"
        for knob, found in stored.items()
        if found.num_groups
    ]
