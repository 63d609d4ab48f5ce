"""What the steps of the pipeline do once they have to: stream, train, evaluate, and count for the ledger.

Heavy libraries are imported inside, so that a run with nothing to do ends in a second.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ded_ray.curate.contamination import Hit
from ded_ray.judging import verifying
from ded_ray.knobs import BadInput, Stopped
from ded_ray.machine import check_gpus, start_ray
from ded_ray.recipe import Model, Recipe
from ded_ray.records import CHECKED, Group, Problem, read_records, to_table
from ded_ray.run import Run, Stage, write_atomically
from ded_ray.tally import count_problems, count_rollouts, rollouts_of_folder, rollouts_of_groups

QUARANTINED = "_quarantined.txt"
"""In the folder of answers: ids of the groups that are missing there."""

if TYPE_CHECKING:
    from ray.data import Dataset


class NothingToLearn(BadInput):
    """Not one example is left to train on."""


def write_problems(stage: Stage, problems: list[Problem], hits: Iterable[Hit] = ()) -> None:
    """Write problems as they are, those with a reason to be dropped included, and seal the stage; in _contamination.jsonl
    which benchmark gave them away."""
    import pyarrow.parquet as pq

    # In the order of their ids, as every folder of problems: batches are then the same in every run.
    ordered = sorted(problems, key=lambda problem: problem.problem_id)
    pq.write_table(to_table(ordered, Problem), stage.begin() / "problems.parquet")
    lines = "".join(json.dumps(asdict(hit)) + "\n" for hit in hits)
    write_atomically(stage.folder / "_contamination.jsonl", lines)
    _seal_marked(stage, "problems", len(problems), Counter(p.dropped_because for p in problems))


def kept_problems(stage: Stage) -> list[Problem]:
    """The problems that a stage kept."""
    return [problem for problem in read_records(stage.folder, Problem) if problem.dropped_because is None]


def stream_answers(
    name: str, questions: Stage, models: Sequence[Model], stages: tuple[Stage, Stage, Stage],
    record: type[Problem] | type[Group], distil: "Callable[[Dataset], Dataset]", first_look: Iterable[str],
) -> None:  # fmt: skip
    """Generate -> verify -> distil as one streaming plan, each stage's rows written as they pass, then all three sealed.

    Every model answers every question. Starts where it must: verdicts that still fit are read, and so is every rollout
    that was ever paid for. `record` is what `distil` makes of a group; `first_look` is printed before anything is spent.
    """
    num_asked = count_problems(questions.folder)[None] * len(models)
    if not num_asked:
        raise BadInput(f"{name}: no problem is left to answer; the ledger says why; loosen curate.compress")
    rollouts, verdicts, last = stages
    run = last.run
    start_ray(run.recipe)
    check_gpus(models)
    import ray

    from ded_ray.generate.plan import answering
    from ded_ray.generate.watch import Watch, max_deaths
    from ded_ray.progress import progress
    from ded_ray.verify.plan import Settled

    if verdicts.done:
        distil(ray.data.read_parquet(str(verdicts.folder))).write_parquet(str(last.begin()))
    else:
        for line in first_look:
            print(line, file=sys.stderr)
        folder, quarantine = rollouts.folder if rollouts.done else rollouts.begin(keep=True), run.folder / "quarantine.jsonl"
        deaths = sum(max_deaths(who.engine) for who in models)
        settled = partial(Settled, run.recipe.verify)
        with progress(f"{name} answers", num_asked, "groups", Watch, quarantine, deaths) as watch, ExitStack() as open_plans:
            groups = [
                open_plans.enter_context(
                    answering(questions.folder, who, run.recipe.seed, folder, quarantine, watch, settled)
                )
                for who in models
            ]
            together = groups[0].union(*groups[1:]) if len(groups) > 1 else groups[0]
            verified = open_plans.enter_context(verifying(run))
            distil(verified(together, verdicts.begin())).write_parquet(str(last.begin()))

    num_groups, _, counts = count_rollouts(rollouts_of_folder(verdicts.folder))
    if not num_groups:
        why = run.folder / "quarantine.jsonl"
        raise Stopped(f"{name}: every prompt is in quarantine; {why} says why, and a line that you delete is asked again")
    if not rollouts.done:
        made = {key: counts[key] for key in ("num_rollouts", "num_tokens")}
        if any(who.sampling.adaptive for who in models):
            made["num_rollouts_if_fixed"] = sum(who.sampling.num_rollouts for who in models) * num_asked // len(models)
        refused = _quarantined(questions, models, run)
        (rollouts.folder / QUARANTINED).write_text("\n".join(refused))
        rollouts.seal("groups", num_asked, +Counter(quarantined=len(refused)), num_groups, **made)
    if not verdicts.done:
        verdicts.seal("groups", num_groups, Counter(), num_groups, **counts)
    if record is Problem:
        _put_in_order(last.folder)
        _seal_marked(last, "problems", num_groups, count_problems(last.folder))
    else:
        _, reasons, kept = count_rollouts(rollouts_of_folder(last.folder))
        _seal_marked(last, "rollouts", counts["num_rollouts"], reasons, effective_examples=kept.get("effective_examples", 0))


def _quarantined(questions: Stage, models: Sequence[Model], run: Run) -> list[str]:
    """The groups of these questions that could not be answered."""
    import numpy as np

    from ded_ray.generate.engine import identity
    from ded_ray.generate.plan import ids_of
    from ded_ray.generate.saved import as_number
    from ded_ray.generate.watch import read_quarantine

    refused = list(read_quarantine(run.folder / "quarantine.jsonl"))
    numbers, found = np.array([as_number(name) for name in refused], np.uint64), set[str]()
    for who in models if refused else ():
        asked = np.isin(numbers, ids_of(questions.folder, identity(who, run.recipe.seed)))
        found.update(name for name, known in zip(refused, asked, strict=True) if known)
    return sorted(found)


def answers_stage(run: Run, name: str, models: Sequence[Model], questions: Stage) -> Stage:
    """The stage of what these models answer; not done any longer when a line of its quarantine was deleted since."""
    from ded_ray.generate.engine import identity
    from ded_ray.generate.watch import read_quarantine

    stage = run.stage(name, [identity(who, run.recipe.seed) for who in models], [questions])
    if stage.done:
        refused = (stage.folder / QUARANTINED).read_text().split()
        if set(refused) - read_quarantine(run.folder / "quarantine.jsonl").keys():
            stage.reopen()
    return stage


def _put_in_order(folder: Path) -> None:
    """A folder of problems as one file, those first whose answers may be long, so that no engine is left alone with them at
    the end (jobs/bench/tail.py), else in the order of their ids: Ray Data promises none, and batches are to be the same in
    every run. In a Ray worker's memory, not in the driver's."""
    import ray

    def rewrite() -> None:
        import pyarrow.dataset as pads
        import pyarrow.parquet as pq

        table = pads.dataset(folder, format="parquet").to_table()
        table = table.sort_by([("student_mean_tokens", "descending"), ("problem_id", "ascending")])
        written = list(folder.glob("*.parquet"))
        pq.write_table(table, folder / ".problems.parquet", row_group_size=1 << 16)
        for path in written:
            path.unlink()
        (folder / ".problems.parquet").rename(folder / "problems.parquet")

    ray.get(ray.remote(rewrite).remote())


def _seal_marked(stage: Stage, unit: str, rows_in: int, reasons: Counter[str | None], **more: Any) -> None:
    """Seal a stage whose rows carry their own reason to be dropped; no reason means kept."""
    dropped = Counter({reason: count for reason, count in reasons.items() if reason is not None})
    stage.seal(unit, rows_in, dropped, reasons[None], **more)


def mix_groups(curated: Stage, stage: Stage) -> None:
    """Mark what is over the quota of its subject; a batch of groups at a time."""
    from ded_ray.curate.mix import Kept, mixed
    from ded_ray.records import write_part

    def groups() -> Iterable[list[Group]]:
        rows = read_records(curated.folder, Group)
        return iter(lambda: list(islice(rows, 256)), [])

    kept = [
        Kept(group.subject, group.problem_id, rollout.pick_rank or 0, group.group_id, rollout.index)
        for batch in groups() for group in batch for rollout in group.rollouts if rollout.dropped_because is None
    ]  # fmt: skip
    staying, folder = mixed(kept, stage.run.recipe.curate.mix, stage.run.recipe.seed), stage.begin()
    for batch in groups():
        for group in batch:
            for rollout in group.rollouts:
                if rollout.dropped_because is None and (group.group_id, rollout.index) not in staying:
                    rollout.dropped_because = "over_quota"
        write_part(folder, to_table(batch, Group))
    _, _, counts = count_rollouts(rollouts_of_folder(folder))
    worth = {"effective_examples": counts.get("effective_examples", 0)}
    stage.seal("examples", len(kept), +Counter(over_quota=len(kept) - len(staying)), len(staying), **worth)


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
        raise NothingToLearn(f"train: nothing is left to train on ({why}); loosen curate or train.max_length")
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
    answered: list[Group] = []
    # A route of its own: another run may be evaluating on the same cluster.
    with (
        served(model, name, recipe.serve, f"/{stage.token}") as url,
        progress(f"evaluate {name}", num_problems, "problems") as counts,
        verifying(stage.run) as verified,
    ):
        for benchmark, problems in benchmarks.items():
            groups = ask(problems, url, name, knobs.sampling, knobs.concurrency, recipe.seed, counts)
            size = recipe.verify.batch_size
            blocks = [to_table(groups[i : i + size], Group) for i in range(0, len(groups), size)]
            checked = verified(ray.data.from_arrow(blocks), None)
            rows = [Group.from_row(row) for row in checked.take_all()]
            pq.write_table(to_table(rows, Group), folder / f"{benchmark}.parquet")
            answered += rows
    _, _, counts = count_rollouts(rollouts_of_groups(answered))
    reasons = Counter[str | None]()
    for status, count in counts["statuses"].items():
        reasons[None if status in CHECKED else status] += count
    _seal_marked(stage, "samples", num_problems * knobs.sampling.num_rollouts, reasons, **counts)


def write_results(stage: Stage, evaluations: list[Stage]) -> None:
    """scores.json, one object per model and benchmark, and the page that shows them."""
    from ded_ray.evaluate.scores import paired_change, score
    from ded_ray.report.page import write_report

    stage.begin()
    run, knobs, scores = stage.run, stage.run.recipe.evaluate, []
    for evaluation in evaluations:
        model = evaluation.name.removeprefix("evaluate_")
        for benchmark in knobs.benchmarks:
            file, seed, resamples = f"{benchmark.name}.parquet", run.recipe.seed, knobs.bootstrap_resamples
            groups = list(read_records(evaluation.folder / file, Group))
            scores.append(score(model, benchmark.name, benchmark.domain, groups, resamples, seed))
            if model == "student":
                base = list(read_records(run.folder / "evaluate_base" / file, Group))
                scores[-1]["change_ci95"] = paired_change(groups, base, resamples, seed)
    write_atomically(run.folder / "scores.json", json.dumps(scores, indent=1) + "\n")
    write_report(run)
    stage.seal("scores", len(scores), Counter(), len(scores))
