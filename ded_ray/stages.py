"""What the steps of the pipeline do once they have to: read the inputs, stream, train, evaluate, and count for the ledger.

Heavy libraries are imported inside, so that a run with nothing to do ends in a second.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ded_ray.knobs import BadInput
from ded_ray.machine import start_ray
from ded_ray.recipe import Model, Recipe, ReplayEngine, TransformersEngine, Verify
from ded_ray.records import CHECKED, Group, Problem, Rollout, read_records, to_table
from ded_ray.run import Run, Stage, write_atomically
from ded_ray.sources.check import check_function, check_prompts_fit
from ded_ray.sources.problems import read_problems
from ded_ray.sources.select import select
from ded_ray.verify.judge import agreement

if TYPE_CHECKING:
    from ray.data import Dataset

    from ded_ray.verify.plan import Answerer


@dataclass(frozen=True)
class Inputs:
    """All that comes from outside, read and checked."""

    problems: list[Problem]
    benchmarks: dict[str, list[Problem]]
    verifiers: dict[str, str]  # by name, a hash of those that are the user's own: another text makes other verdicts


def read_inputs(recipe: Recipe) -> Inputs:
    """Read every source and check that every prompt fits every model that will be asked. Raises BadInput."""
    problems = read_problems(recipe.problems)
    benchmarks = {b.name: read_problems(b.problems) for b in recipe.evaluate.benchmarks}
    verifiers = {problem.verifier for problem in [*problems, *[p for b in benchmarks.values() for p in b]]}
    sources = {name: check_function(name, "problems.verifier") for name in sorted(verifiers)}
    student, teacher, asked = recipe.student, recipe.teacher, [p for b in benchmarks.values() for p in b]
    if student.measure_pass_rate:
        check_prompts_fit(problems, student.model, student.sampling.max_tokens, "student", "student.sampling.max_tokens")
    models = {"student": student.model}
    if isinstance(teacher.engine, TransformersEngine):
        check_prompts_fit(problems, teacher.model, teacher.sampling.max_tokens, "teacher", "teacher.sampling.max_tokens")
        models["teacher"] = teacher.model
    for knob, model in models.items():
        check_prompts_fit(asked, model, recipe.evaluate.sampling.max_tokens, knob, "evaluate.sampling.max_tokens")
    check_judge(recipe.verify)
    if isinstance(recipe.teacher.engine, ReplayEngine):
        from ded_ray.generate.replay_engine import check_covers

        check_covers(recipe.teacher.engine, problems)
    return Inputs(select(problems, asked), benchmarks, sources)


def write_problems(stage: Stage, problems: list[Problem]) -> None:
    """Write problems as they are, those with a reason to be dropped included, and seal the stage."""
    import pyarrow.parquet as pq

    pq.write_table(to_table(problems, Problem), stage.begin() / "problems.parquet")
    _seal_marked(stage, "problems", len(problems), Counter(p.dropped_because for p in problems))


def kept_problems(stage: Stage) -> list[Problem]:
    """The problems that a stage kept, in the order of their ids: Ray Data does not promise one."""
    kept = [problem for problem in read_records(stage.folder, Problem) if problem.dropped_because is None]
    return sorted(kept, key=lambda problem: problem.problem_id)


def stream_answers(
    name: str, asked: list[Problem], who: Model, stages: tuple[Stage, Stage, Stage],
    record: type[Problem] | type[Group], distil: "Callable[[Dataset], Dataset]",
) -> None:  # fmt: skip
    """Generate -> verify -> distil as one streaming plan, each stage's rows written as they pass, then all three sealed.

    Starts where it must: verdicts that still fit are read, and so is every rollout that was ever paid for. `record`
    is what `distil` makes of a group.
    """
    if not asked:
        raise BadInput(f"{name}: no problem is left to answer; the ledger says why; loosen curate.compress")
    rollouts, verdicts, last = stages
    recipe = last.run.recipe
    start_ray(recipe)
    import ray

    from ded_ray.generate.plan import answer
    from ded_ray.progress import progress

    with progress(f"{name} answers", len(asked), "problems") as counts:
        if verdicts.done:
            groups = ray.data.read_parquet(str(verdicts.folder))
        else:
            folder = rollouts.folder if rollouts.done else rollouts.begin(keep=True)
            groups = answer(asked, who, recipe.seed, folder, counts)
            groups = verified(groups, last.run, save_to=verdicts.begin())
        distil(groups).write_parquet(str(last.begin()))

    answers = [rollout for group in read_records(verdicts.folder, Group) for rollout in group.rollouts]
    num_groups = sum(1 for _ in read_records(verdicts.folder, Group))
    if not rollouts.done:
        rollouts.seal("groups", len(asked), Counter(), num_groups, num_rollouts=len(answers),
                      num_tokens=sum(r.num_tokens for r in answers))  # fmt: skip
    if not verdicts.done:
        verdicts.seal("groups", len(asked), Counter(), num_groups, **verdict_counts(answers))
    if record is Problem:
        found = [problem.dropped_because for problem in read_records(last.folder, Problem)]
        _seal_marked(last, "problems", len(asked), Counter(found))
    else:
        found = [r.dropped_because for group in read_records(last.folder, Group) for r in group.rollouts]
        _seal_marked(last, "rollouts", len(answers), Counter(found))


def verified(groups: "Dataset", run: Run, save_to: Path | None = None) -> "Dataset":
    """Groups with verdicts, the rules' first and then, where the recipe has one, the judge's. Lazy."""
    from ded_ray.verify.plan import judge, verify

    knobs = run.recipe.verify
    make_answerer, resources = judge_of(knobs, run.recipe.seed, run.folder / "judge_rollouts")
    if knobs.judge is None or make_answerer is None:
        return verify(groups, knobs, save_to)
    return judge(verify(groups, knobs), knobs.judge, make_answerer, resources, save_to)


def check_judge(knobs: Verify) -> None:
    """Raise BadInput for a judge whose model cannot be found: it is first asked when much has been paid for."""
    if knobs.judge is not None and isinstance(knobs.judge.engine, TransformersEngine):
        check_prompts_fit([], knobs.judge.model, knobs.judge.sampling.max_tokens, "verify.judge", "verify.judge.sampling")


def judge_of(knobs: Verify, seed: int, replies: Path) -> "tuple[Callable[[], Answerer] | None, dict[str, float]]":
    """What makes the judge's answerer, and the resources it needs; (None, {}) without a judge.

    Its replies are saved in a folder of their own, so that none is paid for twice.
    """
    if knobs.judge is None:
        return None, {}
    from ded_ray.generate.plan import Answering, engine_resources, saved_groups

    return partial(Answering, knobs.judge, seed, replies, None, saved_groups(replies)), engine_resources(knobs.judge.engine)


def verdict_counts(rollouts: list[Rollout]) -> dict[str, Any]:
    """For the ledger: how many rollouts got which status, behind which walls programs ran, how far a judge agreed."""
    counts: dict[str, Any] = {"statuses": dict(Counter(str(rollout.status) for rollout in rollouts))}
    if walls := Counter(rollout.isolation for rollout in rollouts if rollout.isolation):
        counts["isolation"] = dict(walls)
    if judged := agreement(
        Counter((str(r.rule_status), str(r.judge_status), str(r.status)) for r in rollouts if r.judge_status)
    ):
        counts["judge"] = judged
    return counts


def _seal_marked(stage: Stage, unit: str, rows_in: int, reasons: Counter[str | None], **more: Any) -> None:
    """Seal a stage whose rows carry their own reason to be dropped; no reason means kept."""
    dropped = Counter({reason: count for reason, count in reasons.items() if reason is not None})
    stage.seal(unit, rows_in, dropped, reasons[None], **more)


def train_on(curated: Stage, stage: Stage, recipe: Recipe) -> None:
    """Train on the curated groups' kept rollouts; goes on from the last checkpoint of an interrupted training."""
    start_ray(recipe)
    from ded_ray.curate.group import examples_of
    from ded_ray.progress import progress
    from ded_ray.train.launch import fitting_examples, train
    from ded_ray.train.sequences import num_steps

    knobs = recipe.train
    examples = [example for group in read_records(curated.folder, Group) for example in examples_of(group)]
    fitting, dropped = fitting_examples(examples, recipe)
    if not fitting:
        why = f"{dict(dropped)} of {len(examples)} examples" if examples else "curate kept none, the ledger says why"
        raise BadInput(f"train: nothing is left to train on ({why}); loosen curate or train.max_length")
    total = num_steps(len(fitting), knobs.batch_size, knobs.epochs, knobs.max_steps)
    with progress("train", total, "steps") as counts:
        curve = train(fitting, recipe, stage.begin(keep=True), stage.fingerprint, counts)
    stage.seal("examples", len(examples), dropped, len(fitting), steps=len(curve), last_loss=curve[-1]["loss"])


def evaluate_model(name: str, model: str, benchmarks: dict[str, list[Problem]], stage: Stage, recipe: Recipe) -> None:
    """Serve one model, ask it every benchmark, verify; one Parquet file of verified groups per benchmark."""
    start_ray(recipe)
    import pyarrow.parquet as pq
    import ray

    from ded_ray.evaluate.ask import ask
    from ded_ray.progress import progress
    from ded_ray.serve.app import served

    knobs, folder = recipe.evaluate, stage.begin()
    num_problems = sum(map(len, benchmarks.values()))
    rollouts: list[Rollout] = []
    # A route of its own: another run may be evaluating on the same cluster.
    with (
        served(model, name, recipe.serve, f"/{stage.token}") as url,
        progress(f"evaluate {name}", num_problems, "problems") as counts,
    ):
        for benchmark, problems in benchmarks.items():
            groups = ask(problems, url, name, knobs.sampling, knobs.concurrency, recipe.seed, counts)
            size = recipe.verify.batch_size
            blocks = [to_table(groups[i : i + size], Group) for i in range(0, len(groups), size)]
            checked = verified(ray.data.from_arrow(blocks), stage.run)
            rows = [Group.from_row(row) for row in checked.take_all()]
            pq.write_table(to_table(rows, Group), folder / f"{benchmark}.parquet")
            rollouts += [rollout for group in rows for rollout in group.rollouts]
    reasons: Counter[str | None] = Counter(None if r.status in CHECKED else r.status for r in rollouts)
    _seal_marked(stage, "samples", num_problems * knobs.sampling.num_rollouts, reasons, **verdict_counts(rollouts))


def write_results(stage: Stage, evaluations: list[Stage]) -> None:
    """scores.json, one object per model and benchmark, and the page that shows them."""
    from ded_ray.evaluate.scores import score
    from ded_ray.report.page import write_report

    stage.begin()
    run, knobs, scores = stage.run, stage.run.recipe.evaluate, []
    for evaluation in evaluations:
        model = evaluation.name.removeprefix("evaluate_")
        for benchmark in knobs.benchmarks:
            groups = list(read_records(evaluation.folder / f"{benchmark.name}.parquet", Group))
            seed, resamples = run.recipe.seed, knobs.bootstrap_resamples
            scores.append(score(model, benchmark.name, benchmark.domain, groups, resamples, seed))
    write_atomically(run.folder / "scores.json", json.dumps(scores, indent=1) + "\n")
    write_report(run)
    stage.seal("scores", len(scores), Counter(), len(scores))
