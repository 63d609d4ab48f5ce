"""The step that student, teachers and evaluations share: generate -> verify -> transform as one streaming plan.

    answers(run, inputs, "student", problems, models=[recipe.student], into="questions", parts=[recipe.curate.compress],
            record=Problem, transform=lambda groups: questions(groups, recipe.curate))

Heavy libraries are imported inside, so that a run with nothing to do ends in a second.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ded_ray.errors import BadInput, Stopped
from ded_ray.generate.identity import GenerateJob
from ded_ray.recipe import Generator
from ded_ray.records import Group, Problem
from ded_ray.run import Run, Stage
from ded_ray.stages.counts import count_problems, count_rollouts, rollouts_of_folder, seal_marked
from ded_ray.stages.inputs import Inputs
from ded_ray.stages.problems import put_in_order
from ded_ray.stages.spending import WhyOver, spending
from ded_ray.stages.verdicts import open_judge

if TYPE_CHECKING:
    from ray.data import Dataset

QUARANTINED = "_quarantined.txt"
"""In a folder of answers: ids of the groups that are missing there."""


def answers(
    run: Run,
    inputs: Inputs,
    name: str,
    questions: Stage,
    *,
    models: Sequence[Generator],
    into: str,
    parts: Sequence[object],
    record: type[Problem] | type[Group],
    transform: "Callable[[Dataset], Dataset]",
) -> Stage:
    """Every model answers every question; returns the stage `into`, made of what `transform` makes of verified groups.

    Leaves three stages: NAME_rollouts, NAME_verdicts and `into`, whose fingerprint holds `parts` and whose rows are
    `record`s. Starts where it must: verdicts that still fit are read, and so is every rollout already generated.
    Raises BadInput when no question is left, and Stopped when the run cannot go on.
    """
    jobs = [GenerateJob(model, run.recipe.seed, run.folder / f"{name}_rollouts", quarantine_of(run)) for model in models]
    rollouts = answered_stage(run, f"{name}_rollouts", [job.identity for job in jobs], [questions])
    verdicts = run.stage(f"{name}_verdicts", [run.recipe.verify.identity(), inputs.verifiers], [rollouts])
    last = run.stage(into, parts, [verdicts])
    if last.done:
        return last
    num_asked = count_problems(questions.folder)[None] * len(jobs)
    if not num_asked:
        raise BadInput(f"{name}: no problem is left to answer{_why_none_is_left(run, questions)}")
    from ded_ray.runtime.connect import start_ray
    from ded_ray.runtime.map_groups import read_parquet, write_parquet
    from ded_ray.runtime.needs import check_gpus, streaming_needs

    start_ray(run.recipe)
    check_gpus(models, run.recipe.train)
    needs = streaming_needs(run.recipe, [model.engine for model in models], reads=record is Group)
    with spending(run, rollouts.name, needs) as why_over:
        if verdicts.done:
            write_parquet(transform(read_parquet(verdicts.folder)), last.begin())
        else:
            for line in inputs.prompt_previews(name):
                print(line, file=sys.stderr)
            if not rollouts.done:
                rollouts.begin(keep=True)
            asked, folder = [(job, questions.folder) for job in jobs], verdicts.begin()
            with verified_answers(run, f"{name} answers", asked, save_to=folder, why_over=why_over) as groups:
                write_parquet(transform(groups), last.begin())
    _seal(jobs, questions, stages=(rollouts, verdicts, last), record=record)
    return last


@contextmanager
def verified_answers(
    run: Run,
    title: str,
    asked: Sequence[tuple[GenerateJob, Path]],
    *,
    save_to: Path | None = None,
    why_over: WhyOver = lambda: None,
) -> "Iterator[Dataset]":
    """Groups of all jobs, each for a folder of problems, with verdicts. Lazy, while the block runs, with a line of progress.

    With `save_to` every batch of verdicts is also written there as it passes. The block ends with Stopped, and all that was
    made is saved, when `why_over` gives a reason.
    """
    from ded_ray.generate.monitor import EngineMonitor, max_deaths
    from ded_ray.generate.ray_data import generate
    from ded_ray.runtime.progress import progress, start_actor
    from ded_ray.verify.ray_data import verify
    from ded_ray.verify.worker import AllVerdictsAgree

    recipe = run.recipe
    num_asked = sum(count_problems(questions)[None] for _, questions in asked)
    deaths = sum(max_deaths(job.generator.engine) for job, _ in asked)
    monitor = start_actor(EngineMonitor, quarantine_of(run), deaths)
    with ExitStack() as open_plans:
        open_plans.enter_context(progress(title, num_asked, "groups", monitor, why_over=why_over))
        stop_rule = partial(AllVerdictsAgree, recipe.verify)
        first, *others = [open_plans.enter_context(generate(*pair, monitor, stop_rule)) for pair in asked]
        groups = first.union(*others) if others else first
        judge = open_plans.enter_context(open_judge(recipe.verify, recipe.seed, run.folder / "judge_rollouts"))
        yield verify(groups, recipe.verify, judge=judge, save_to=save_to)


REMEDIES = {
    "in_benchmark": "add problems that no benchmark asks, or take another benchmark (evaluate.benchmarks)",
    "near_benchmark": "raise curate.questions.ngram, add other problems, or take another benchmark (evaluate.benchmarks)",
    "duplicate_prompt": "add other problems",
    "near_duplicate": "raise curate.questions.near_duplicate",
    "student_pass_rate": "raise curate.compress.max_student_pass_rate, or add harder problems",
    "student_pass_rate_too_low": "lower curate.compress.min_student_pass_rate, or add easier problems",
}
"""What can be done about problems that were dropped, by the reason."""


def _why_none_is_left(run: Run, questions: Stage) -> str:
    """The reasons of all problems that were dropped so far, the most frequent first, and what to do about that one."""
    reasons = count_problems(questions.folder)
    if questions.name != "problems" and (run.folder / "problems").exists():
        reasons += count_problems(run.folder / "problems")  # a later folder holds only what was asked
    dropped = [(reason, count) for reason, count in reasons.most_common() if reason is not None]
    if not dropped:
        return "; add problems"
    counted = ", ".join(f"{count} {reason}" for reason, count in dropped)
    return f" ({counted}); {REMEDIES.get(dropped[0][0], 'add other problems')}"


def quarantine_of(run: Run) -> Path:
    return run.folder / "quarantine.jsonl"


def answered_stage(run: Run, name: str, parts: Sequence[object], inputs: Sequence[Stage]) -> Stage:
    """A stage of answers; it is no longer done if a line of its quarantine was deleted since."""
    from ded_ray.generate.monitor import read_quarantine

    stage = run.stage(name, parts, inputs)
    if stage.done and (stage.folder / QUARANTINED).exists():
        refused = (stage.folder / QUARANTINED).read_text().split()
        if set(refused) - read_quarantine(quarantine_of(run)).keys():
            stage.reopen()
    return stage


def note_quarantined(asked: Sequence[tuple[GenerateJob, Path]], folder: Path) -> list[str]:
    """Ids of the groups of these jobs, each for a folder of problems, that could not be answered; also written to
    `folder`."""
    import numpy as np

    from ded_ray.generate.identity import as_numbers, ids_of
    from ded_ray.generate.monitor import read_quarantine

    names = list(read_quarantine(asked[0][0].quarantine))
    refused = set[str]()
    for job, questions in asked if names else ():
        is_asked = np.isin(as_numbers(names), ids_of(questions, job.identity))
        refused.update(name for name, asked in zip(names, is_asked, strict=True) if asked)
    (folder / QUARANTINED).write_text("\n".join(sorted(refused)))
    return sorted(refused)


def _seal(
    jobs: Sequence[GenerateJob], questions: Stage, *, stages: tuple[Stage, Stage, Stage], record: type[Problem] | type[Group]
) -> None:
    """Count what the three folders hold, and seal each."""
    rollouts, verdicts, last = stages
    num_asked = count_problems(questions.folder)[None] * len(jobs)
    num_groups, _, counts = count_rollouts(rollouts_of_folder(verdicts.folder))
    if not num_groups:
        why = f"{quarantine_of(last.run)} says why, and a line that you delete is asked again"
        raise Stopped(f"{rollouts.name.removesuffix('_rollouts')}: every prompt is in quarantine; {why}")
    if not rollouts.done:
        made: dict[str, Any] = {key: counts[key] for key in ("num_rollouts", "num_tokens")}
        samplings = [job.generator.sampling for job in jobs]
        if any(sampling.adaptive for sampling in samplings):
            made["num_rollouts_if_fixed"] = sum(s.num_rollouts for s in samplings) * num_asked // len(jobs)
        refused = note_quarantined([(job, questions.folder) for job in jobs], rollouts.folder)
        rollouts.seal("groups", num_asked, +Counter(quarantined=len(refused)), num_groups, **made)
    if not verdicts.done:
        verdicts.seal("groups", num_groups, Counter(), num_groups, **counts)
    if record is Problem:
        put_in_order(last.folder)
        seal_marked(last, "problems", num_groups, count_problems(last.folder))
    else:
        _, reasons, kept = count_rollouts(rollouts_of_folder(last.folder))
        effective_examples = kept.get("effective_examples", 0)
        seal_marked(last, "rollouts", counts["num_rollouts"], reasons, effective_examples=effective_examples)
