"""The step that measures models where they are served: serve one, ask its endpoint like any other, verify.

Its samples are kept in the stage's `_rollouts/` by what made them, so that an evaluation that was killed, or is made
again, asks nothing twice.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ded_ray.generate.identity import GenerateJob
from ded_ray.recipe import Chat, Generator, OpenAIEngine, Recipe, Teacher
from ded_ray.records import CHECKED, Group, Problem, Rollout, stable_hash, to_table
from ded_ray.run import Run, Stage
from ded_ray.stages.answers import answered_stage, note_quarantined, quarantine_of, verified_answers
from ded_ray.stages.counts import count_rollouts, rollouts_of_groups, seal_marked
from ded_ray.stages.inputs import Inputs, can_be_evaluated, models_of
from ded_ray.stages.problems import write_problem_file

REQUEST_TIMEOUT_SECONDS = 3600
"""A request waits in the endpoint's queue behind all that were sent before it."""


PROBLEMS_PER_TASK = 16
"""Nothing waits for a single group here, and small models answer faster than Ray Data starts tasks."""


@dataclass(frozen=True)
class ServedModel:
    """A model to be measured."""

    name: str  # what it is served as, and what the scores call it
    model: str  # hub name, folder or tiny/NAME
    checkpoint: str  # which weights these are: a checkpoint's token, or the model's own name
    chat: Chat  # how what it is asked is rendered


def evaluate(run: Run, inputs: Inputs, checkpoint: Stage, teachers: Sequence[Teacher]) -> list[Stage]:
    """Serve base, student and teachers one after the other, and ask what is served every benchmark."""
    recipe, stages = run.recipe, list[Stage]()
    if not inputs.benchmarks:
        return stages
    student = str(checkpoint.folder / "model")
    served: list[tuple[ServedModel, list[Stage]]] = [
        (ServedModel("base", recipe.student.model, recipe.student.model, recipe.student.chat), []),
        (ServedModel("student", student, checkpoint.token, recipe.student.chat), [checkpoint]),
    ]
    for name, generator in models_of(recipe).items():
        if name != "student" and generator in teachers and can_be_evaluated(generator):
            served.append((ServedModel(name, generator.model, generator.model, generator.chat), []))
    questions = inputs.benchmark_rows(list(inputs.benchmarks))
    for model, made_from in served:
        known_by = "" if made_from else model.model  # the student's folder may move; its checkpoint stage says what it is
        parts = [recipe.evaluate.identity(), recipe.verify.identity(), inputs.verifiers, recipe.seed, questions, known_by]
        stage = answered_stage(run, f"evaluate_{model.name}", [*parts, *model.chat.parts()], made_from)
        if not stage.done:
            evaluate_model(stage, model, inputs.benchmarks, recipe)
        stages.append(stage)
    return stages


def evaluate_model(stage: Stage, model: ServedModel, benchmarks: dict[str, list[Problem]], recipe: Recipe) -> None:
    """Serve one model and ask it every benchmark; leaves one Parquet file of verified groups per benchmark.

    A prompt that it refuses gets samples that never came: they count as unchecked, and stay in the denominator.
    """
    from ded_ray.runtime.connect import start_ray

    start_ray(recipe)
    import pyarrow.parquet as pq

    from ded_ray.serve.ray_serve import served

    folder = stage.begin(keep=True)
    for old in folder.glob("*.parquet"):
        old.unlink()
    questions = folder / "_questions"
    questions.mkdir(exist_ok=True)
    named = {name: [_named(problem, name) for problem in problems] for name, problems in benchmarks.items()}
    write_problem_file(questions, [problem for problems in named.values() for problem in problems])
    # A route of its own, the same after a kill: another run may be evaluating on the same cluster.
    route = f"/{stable_hash(stage.folder, stage.fingerprint)}"
    with served(model.model, model.name, recipe.serve, chat=model.chat, route=route) as url:
        job = _job(stage, model, url, recipe)
        with verified_answers(stage.run, f"evaluate {model.name}", [job], questions) as groups:
            answered = {row["group_id"]: Group.from_row(row) for row in groups.iter_rows()}
    note_quarantined([job], questions, folder)
    everything: list[Group] = []
    for name, problems in benchmarks.items():
        rows = [_with_all_samples(answered, job, *pair) for pair in zip(problems, named[name], strict=True)]
        pq.write_table(to_table(rows, Group), folder / f"{name}.parquet")
        everything += rows
    _, _, counts = count_rollouts(rollouts_of_groups(everything))
    reasons = Counter[str | None]()
    for status, count in counts["statuses"].items():
        reasons[None if status in CHECKED else status] += count
    seal_marked(stage, "samples", len(everything) * recipe.evaluate.sampling.num_rollouts, reasons, **counts)


def _named(problem: Problem, benchmark: str) -> Problem:
    """Two benchmarks may use one id for different problems."""
    return replace(problem, problem_id=f"{benchmark}/{problem.problem_id}")


def _job(stage: Stage, model: ServedModel, url: str, recipe: Recipe) -> GenerateJob:
    """The served model as an endpoint like any other. It needs no key."""
    config = recipe.evaluate
    engine = OpenAIEngine(
        base_url=url,
        api_key_env="",
        in_flight=config.concurrency,
        batch_size=min(PROBLEMS_PER_TASK, config.concurrency),
        timeout_seconds=REQUEST_TIMEOUT_SECONDS,
    )
    generator = Generator(model=model.name, engine=engine, sampling=config.sampling.model_copy(update={"adaptive": None}))
    return GenerateJob(
        generator,
        recipe.seed,
        folder=_rollouts(stage),
        quarantine=quarantine_of(stage.run),
        checkpoint=stable_hash(model.checkpoint, *model.chat.parts()),
        paired=True,
    )


def _rollouts(stage: Stage) -> Path:
    """The underscore keeps it out of what Arrow reads as the stage's data."""
    return stage.folder / "_rollouts"


def _with_all_samples(answered: dict[str, Group], job: GenerateJob, problem: Problem, named: Problem) -> Group:
    """The problem's group under its own id, filled up with samples that never came."""
    group_id = job.group_id(named)
    group = answered.get(group_id) or Group.of(named, group_id, job.generator.model, [])
    group.problem_id = problem.problem_id
    for index in range(len(group.rollouts), job.generator.sampling.num_rollouts):
        missing = Rollout(index=index, completion="", num_tokens=0, finish_reason="other", seed=0, status="unverifiable")
        group.rollouts.append(missing)
    return group
