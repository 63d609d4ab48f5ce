"""The step that measures models where they are served: serve them, ask their endpoint like any other, verify.

Its samples are kept in the stage's `_rollouts/` by what made them, so that an evaluation that was killed, or is made
again, asks nothing twice.
"""

import os
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ded_ray.files.folders import make, write_table
from ded_ray.generate.identity import GenerateJob
from ded_ray.recipe import Generator, OpenAIEngine, Recipe, Teacher
from ded_ray.records import CHECKED, Group, Problem, Rollout, stable_hash, to_table
from ded_ray.run import Run, Stage
from ded_ray.serve.endpoint import ServedModel
from ded_ray.stages.answers import answered_stage, note_quarantined, quarantine_of, verified_answers
from ded_ray.stages.counts import count_rollouts, rollouts_of_groups, seal_marked
from ded_ray.stages.inputs import Inputs, can_be_evaluated, models_of
from ded_ray.stages.problems import write_problem_file
from ded_ray.stages.serve import served_model
from ded_ray.stages.spending import spending

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


Pending = tuple[Stage, Measured]


def evaluate(run: Run, inputs: Inputs, checkpoint: Stage, teachers: Sequence[Teacher]) -> list[Stage]:
    """Serve base, student and teachers, as many at a time as there is room for, and ask them every benchmark."""
    recipe, stages, pending = run.recipe, list[Stage](), list[Pending]()
    if not inputs.benchmarks:
        return stages
    student = recipe.student.model_copy(update={"model": str(checkpoint.folder / "model")})
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
        stages.append(answered_stage(run, f"evaluate_{model.name}", [*parts, *own], made_from))
        if not stages[-1].done:
            pending.append((stages[-1], model))
    if pending:
        evaluate_models(pending, inputs.benchmarks, recipe)
    return stages


def evaluate_models(pending: Sequence[Pending], benchmarks: dict[str, list[Problem]], recipe: Recipe) -> None:
    """Serve these models and ask them every benchmark; leaves in each one's stage a Parquet file of verified groups per
    benchmark.

    A prompt that a model refuses gets samples that never came: they count as unchecked, and stay in the denominator.
    """
    from ded_ray.runtime.connect import start_ray
    from ded_ray.runtime.needs import models_at_once

    start_ray(recipe)
    for stage, _ in pending:
        stage.begin(keep=True)
    asked = _write_questions(pending[0][0].folder, benchmarks, recipe)
    at_once = models_at_once(recipe.serve, [(model.generator.model, model.generator.engine) for _, model in pending])
    for start in range(0, len(pending), at_once):
        _evaluate_together(pending[start : start + at_once], asked, recipe)


@dataclass(frozen=True)
class Asked:
    """Benchmarks that are asked the same number of times."""

    num_samples: int
    benchmarks: dict[str, list[Problem]]
    named: dict[str, list[Problem]]  # the same problems, under ids that no two benchmarks share
    folder: Path  # where they are written


def _write_questions(folder: Path, benchmarks: dict[str, list[Problem]], recipe: Recipe) -> list[Asked]:
    config, asked = recipe.evaluate, []
    own = {benchmark.name: benchmark.num_samples for benchmark in config.benchmarks}
    samples = {name: own.get(name) or config.sampling.num_rollouts for name in benchmarks}
    for number in sorted(set(samples.values())):
        some = {name: problems for name, problems in benchmarks.items() if samples[name] == number}
        named = {name: [_named(problem, name) for problem in problems] for name, problems in some.items()}
        questions = folder / f"_questions_{number}"
        write_problem_file(make(questions), [problem for problems in named.values() for problem in problems])
        asked.append(Asked(number, some, named, questions))
    return asked


def _evaluate_together(pending: Sequence[Pending], asked: Sequence[Asked], recipe: Recipe) -> None:
    from ded_ray.runtime.needs import evaluation_needs

    title, (first, _) = f"evaluate {', '.join(model.name for _, model in pending)}", pending[0]
    with (
        spending(first.run, first.name, evaluation_needs(recipe)) as why_over,
        _generators(pending, recipe) as generators,
    ):
        jobs = {
            (model.name, each.num_samples): (_job(stage, model, generator, each.num_samples, recipe), each)
            for (stage, model), generator in zip(pending, generators, strict=True)
            for each in asked
        }
        pairs = [(job, each.folder) for job, each in jobs.values()]
        with verified_answers(first.run, title, pairs, why_over=why_over) as groups:
            answered = {row["group_id"]: Group.from_row(row) for row in groups.iter_rows()}
    for stage, model in pending:
        own = [found for (name, _), found in jobs.items() if name == model.name]
        note_quarantined([(job, each.folder) for job, each in own], stage.folder)
        _seal(stage, {name: groups for job, each in own for name, groups in _groups_of(answered, job, each).items()})


def _groups_of(answered: dict[str, Group], job: GenerateJob, asked: Asked) -> dict[str, list[Group]]:
    """By benchmark, in its problems' order."""
    return {
        name: [_with_all_samples(answered, job, *pair) for pair in zip(problems, asked.named[name], strict=True)]
        for name, problems in asked.benchmarks.items()
    }


def _seal(stage: Stage, groups_of: dict[str, list[Group]]) -> None:
    """One file per benchmark, and the count of what they hold."""
    for old in stage.folder.glob("*.parquet"):
        old.unlink()
    for name, groups in groups_of.items():
        write_table(to_table(groups, Group), stage.folder / f"{name}.parquet")
    everything = [group for groups in groups_of.values() for group in groups]
    _, _, counts = count_rollouts(rollouts_of_groups(everything))
    reasons = Counter[str | None]()
    for status, count in counts["statuses"].items():
        reasons[None if status in CHECKED else status] += count
    seal_marked(stage, "samples", sum(len(group.rollouts) for group in everything), reasons, **counts)


def _named(problem: Problem, benchmark: str) -> Problem:
    """Two benchmarks may use one id for different problems."""
    return replace(problem, problem_id=f"{benchmark}/{problem.problem_id}")


@contextmanager
def _generators(pending: Sequence[Pending], recipe: Recipe) -> Iterator[list[Generator]]:
    """How each model is asked while the block runs: it is served here for as long, unless it is an endpoint already."""
    to_serve = [
        served_model(model.name, model.generator.model, model.generator)
        for _, model in pending
        if not isinstance(model.generator.engine, OpenAIEngine)
    ]
    with ExitStack() as serving:
        url = serving.enter_context(_endpoint(pending[0][0], to_serve, recipe)) if to_serve else "http://none"
        in_flight = max(1, recipe.evaluate.concurrency // len(pending))
        engine = OpenAIEngine(
            base_url=url,
            api_key_env=KEY_ENV,
            in_flight=in_flight,
            batch_size=min(PROBLEMS_PER_TASK, in_flight),
            timeout_seconds=recipe.serve.timeout_seconds,
        )
        yield [
            model.generator
            if isinstance(model.generator.engine, OpenAIEngine)
            else Generator(model=model.name, engine=engine)
            for _, model in pending
        ]


@contextmanager
def _endpoint(stage: Stage, models: Sequence[ServedModel], recipe: Recipe) -> Iterator[str]:
    """An endpoint for the length of an evaluation, with a token, a port and a route of its own: others may be serving on
    this cluster. The route is the same after a kill."""
    from ded_ray.serve.endpoint import Access
    from ded_ray.serve.ray_serve import served

    os.environ[KEY_ENV] = secrets.token_urlsafe()
    anywhere = "0.0.0.0"  # noqa: S104 (whoever asks runs anywhere in the cluster, and has the token)
    host = anywhere if os.environ.get("RAY_ADDRESS") else "127.0.0.1"
    access = Access(host, 0, os.environ[KEY_ENV], f"/{stable_hash(stage.folder, stage.fingerprint)}")
    with served(models, recipe.serve, access=access) as url:
        yield url


def _job(stage: Stage, model: Measured, generator: Generator, num_samples: int, recipe: Recipe) -> GenerateJob:
    sampling = recipe.evaluate.sampling.model_copy(update={"adaptive": None, "num_rollouts": num_samples})
    return GenerateJob(
        generator.model_copy(update={"sampling": sampling}),
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
