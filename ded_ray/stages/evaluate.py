"""The step that measures models where they are served: serve one, ask its endpoint like any other, verify.

Its samples are kept in the stage's `_rollouts/` by what made them, so that an evaluation that was killed, or is made
again, asks nothing twice.
"""

import os
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ded_ray.generate.identity import GenerateJob
from ded_ray.recipe import Generator, OpenAIEngine, Recipe, Teacher
from ded_ray.records import CHECKED, Group, Problem, Rollout, stable_hash, to_table
from ded_ray.run import Run, Stage
from ded_ray.stages.answers import answered_stage, note_quarantined, quarantine_of, verified_answers
from ded_ray.stages.counts import count_rollouts, rollouts_of_groups, seal_marked
from ded_ray.stages.inputs import Inputs, can_be_evaluated, models_of
from ded_ray.stages.problems import write_problem_file
from ded_ray.stages.serve import served_model

PROBLEMS_PER_TASK = 16
"""Nothing waits for a single group here, and small models answer faster than Ray Data starts tasks."""


KEY_ENV = "DED_RAY_EVALUATION_KEY"
"""Where the token of an evaluation's own endpoint is, for the length of the evaluation."""


@dataclass(frozen=True)
class Measured:
    """A model to be measured: how it is asked, and which weights those are."""

    name: str  # what it is served as, and what the scores call it
    generator: Generator  # its `model` says where it is
    checkpoint: str  # a checkpoint's token, or the model's own name


def evaluate(run: Run, inputs: Inputs, checkpoint: Stage, teachers: Sequence[Teacher]) -> list[Stage]:
    """Serve base, student and teachers one after the other, and ask what is served every benchmark."""
    recipe, stages = run.recipe, list[Stage]()
    if not inputs.benchmarks:
        return stages
    student = recipe.student.model_copy(update={"model": str(checkpoint.folder.absolute() / "model")})
    measured: list[tuple[Measured, list[Stage]]] = [
        (Measured("base", recipe.student, recipe.student.model), []),
        (Measured("student", student, checkpoint.token), [checkpoint]),
    ]
    for name, generator in models_of(recipe).items():
        if name != "student" and generator in teachers and can_be_evaluated(generator):
            measured.append((Measured(name, generator, generator.model), []))
    questions = inputs.benchmark_rows(list(inputs.benchmarks))
    for model, made_from in measured:
        # The student's folder may move; its checkpoint stage says what it is.
        known_by = "" if made_from else model.generator.model
        parts = [recipe.evaluate.identity(), recipe.verify.identity(), inputs.verifiers, recipe.seed, questions, known_by]
        own = model.generator.chat.parts()
        if isinstance(model.generator.engine, OpenAIEngine):
            own.append(model.generator.engine.identity())
        stage = answered_stage(run, f"evaluate_{model.name}", [*parts, *own], made_from)
        if not stage.done:
            evaluate_model(stage, model, inputs.benchmarks, recipe)
        stages.append(stage)
    return stages


def evaluate_model(stage: Stage, model: Measured, benchmarks: dict[str, list[Problem]], recipe: Recipe) -> None:
    """Serve one model and ask it every benchmark; leaves one Parquet file of verified groups per benchmark.

    A prompt that it refuses gets samples that never came: they count as unchecked, and stay in the denominator.
    """
    from ded_ray.runtime.connect import start_ray

    start_ray(recipe)
    import pyarrow.parquet as pq

    folder = stage.begin(keep=True)
    for old in folder.glob("*.parquet"):
        old.unlink()
    questions = folder / "_questions"
    questions.mkdir(exist_ok=True)
    named = {name: [_named(problem, name) for problem in problems] for name, problems in benchmarks.items()}
    write_problem_file(questions, [problem for problems in named.values() for problem in problems])
    with (
        _asked_of(stage, model, recipe) as job,
        verified_answers(stage.run, f"evaluate {model.name}", [job], questions) as groups,
    ):
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


@contextmanager
def _asked_of(stage: Stage, model: Measured, recipe: Recipe) -> Iterator[GenerateJob]:
    """How a model is asked while the block runs: it is served here for as long, unless it is an endpoint already."""
    config, generator = recipe.evaluate, model.generator
    sampling = config.sampling.model_copy(update={"adaptive": None})
    if isinstance(generator.engine, OpenAIEngine):
        yield _job(stage, model, generator.model_copy(update={"sampling": sampling}), recipe)
        return
    from ded_ray.serve.endpoint import Access
    from ded_ray.serve.ray_serve import served

    # A port of its own, and a route of its own, the same after a kill: others may be serving on this cluster.
    token, route = secrets.token_urlsafe(), f"/{stable_hash(stage.folder, stage.fingerprint)}"
    anywhere = "0.0.0.0"  # noqa: S104 (whoever asks runs anywhere in the cluster, and has the token)
    access = Access(anywhere if os.environ.get("RAY_ADDRESS") else "127.0.0.1", 0, token, route)
    os.environ[KEY_ENV] = token
    with served([served_model(model.name, generator.model, generator)], recipe.serve, access=access) as url:
        engine = OpenAIEngine(
            base_url=url,
            api_key_env=KEY_ENV,
            in_flight=config.concurrency,
            batch_size=min(PROBLEMS_PER_TASK, config.concurrency),
            timeout_seconds=recipe.serve.timeout_seconds,
        )
        yield _job(stage, model, Generator(model=model.name, engine=engine, sampling=sampling), recipe)


def _job(stage: Stage, model: Measured, generator: Generator, recipe: Recipe) -> GenerateJob:
    return GenerateJob(
        generator,
        recipe.seed,
        folder=_rollouts(stage),
        quarantine=quarantine_of(stage.run),
        checkpoint=stable_hash(model.checkpoint, *model.generator.chat.parts()),
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
