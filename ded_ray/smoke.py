"""DED's smoke test as stages of a run: every candidate answers the same questions once, the student learns from each, and is
measured; then one is chosen. Each step leaves a folder of its own, so that it resumes like everything else.
"""

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from ded_ray.generate.engine import identity
from ded_ray.inputs import Inputs
from ded_ray.knobs import BadInput
from ded_ray.recipe import Recipe, Teacher
from ded_ray.records import Group, Problem, read_records, stable_hash
from ded_ray.run import Run, Stage, write_atomically
from ded_ray.stages import (
    NothingToLearn,
    answers_stage,
    evaluate_model,
    kept_problems,
    stream_answers,
    train_on,
    write_problems,
)
from ded_ray.teachers.choice import Rates, Row, choose, compare, disagreement, mean_score

NUM_TEXTS = 30
"""Benchmark problems whose hidden states the PCA shift compares: the default of the tool that DED used."""


def choose_teachers(run: Run, inputs: Inputs, problems: Stage) -> tuple[Teacher, ...]:
    """The teachers that answer every question: all candidates, or with `teacher: auto` the one that is chosen."""
    if run.recipe.teachers.choose:
        smoke_test(run, inputs, problems)
    return chosen_teachers(run)


def chosen_teachers(run: Run) -> tuple[Teacher, ...]:
    """The same of a run that has them already."""
    knobs = run.recipe.teachers
    if not knobs.choose:
        return knobs.candidates
    return (knobs.candidates[json.loads((run.folder / "teachers.json").read_text())["winner"]],)


def smoke_test(run: Run, inputs: Inputs, problems: Stage) -> dict[str, Any]:
    """{"winner": index, "rows": one per candidate, ...}; also as teachers.json in the run's folder."""
    recipe, knobs = run.recipe, run.recipe.teachers
    questions = run.stage("smoke_questions", [knobs.num_questions, recipe.seed], [problems])
    if not questions.done:
        kept = sorted(kept_problems(problems), key=lambda problem: problem.problem_id)
        write_problems(questions, Random(recipe.seed).sample(kept, min(knobs.num_questions, len(kept))))
    held_out = _held_out(run, inputs)
    measured = [_candidate(run, inputs, who, questions, held_out) for who in knobs.candidates]
    stage = run.stage("teacher_choice", [knobs.proxy, recipe.evaluate.bootstrap_resamples], [s for s, _, _ in measured])
    if not stage.done:
        found = _choice([row for _, row, _ in measured], [rates for _, _, rates in measured], recipe)
        stage.begin()
        write_atomically(run.folder / "teachers.json", json.dumps(found, indent=1) + "\n")
        stage.seal("teachers", len(measured), +Counter(not_chosen=len(measured) - 1), 1)
    return json.loads((run.folder / "teachers.json").read_text())


def _choice(rows: list[Row], students: list[Rates], recipe: Recipe) -> dict[str, Any]:
    knobs = recipe.teachers
    if all(row["rsr"] is None for row in rows):
        raise BadInput("teachers.candidates: not one answer of any of them can be learnt from; the ledger says why")
    winner = choose(rows, knobs.proxy)
    if not knobs.proxy:
        apart = compare(students, recipe.evaluate.bootstrap_resamples, recipe.seed)
        rows = [{**row, "differences_ci95": intervals} for row, intervals in zip(rows, apart, strict=True)]
    rule = "lowest RSR under the student" if knobs.proxy else "highest mean in-domain pass@1 of the trained student"
    return {
        "winner": winner,
        "rule": f"{rule}; equal: fewest tokens per verified answer",
        "entropy_of": recipe.student.model,
        "disagreement": disagreement(rows),
        "rows": rows,
    }


def _held_out(run: Run, inputs: Inputs) -> Stage | None:
    """The in-domain benchmarks as one folder of problems, for the candidates' own scores."""
    asked = [
        Problem.from_row({**problem.to_row(), "problem_id": f"{benchmark.name}/{problem.problem_id}"})
        for benchmark in run.recipe.evaluate.in_domain
        for problem in inputs.benchmarks[benchmark.name]
    ]  # fmt: skip
    if not asked:
        return None
    stage = run.stage("smoke_held_out", [[problem.to_row() for problem in asked]])
    if not stage.done:
        write_problems(stage, asked)
    return stage


def _candidate(run: Run, inputs: Inputs, who: Teacher, questions: Stage, held_out: Stage | None) -> tuple[Stage, Row, Rates]:
    """(the stage that its row depends on, its row, the pass rates of its student on the in-domain benchmarks)."""
    recipe = run.recipe
    who = who.model_copy(update={"sampling": who.sampling.model_copy(update={"num_rollouts": 1, "adaptive": None})})
    # Not its place in the list: another order is no reason to ask again.
    name = f"smoke_{stable_hash(identity(who, recipe.seed))[:8]}"
    corpus = _answers(run, inputs, name, who, questions)
    row: Row = {"model": who.model, "stages": name, **_read(run, name, corpus, who)}
    if held_out is not None:
        own = _answers(run, inputs, f"{name}_own", who, held_out)
        row["own_score"] = mean_score(_by_benchmark(own.folder))
    if recipe.teachers.proxy:
        return corpus, row, {}
    try:
        student, scored = _student(run, inputs, name, corpus)
    except NothingToLearn:
        return corpus, row | {"student_score": None}, {}
    rates = {b.name: _pass_rates(scored.folder / f"{b.name}.parquet") for b in recipe.evaluate.in_domain}
    row["student_score"] = mean_score(rates)
    row["pca_shift"] = _shift(run, inputs, name, student)
    return scored, row, rates


def _answers(run: Run, inputs: Inputs, name: str, who: Teacher, questions: Stage) -> Stage:
    """What a candidate answers, verified: one answer each."""
    from ded_ray.teachers.measure import as_corpus

    recipe = run.recipe
    rollouts = answers_stage(run, f"{name}_rollouts", [who], questions)
    verdicts = run.stage(f"{name}_verdicts", [recipe.verify.identity(), inputs.verifiers], [rollouts])
    corpus = run.stage(f"{name}_corpus", [], [verdicts])
    if not corpus.done:
        stream_answers(
            f"{who.model} ({name})", questions, [who], (rollouts, verdicts, corpus), Group,
            distil=lambda groups: groups.map_batches(as_corpus, batch_format="pyarrow", num_cpus=0.25), first_look=(),
        )  # fmt: skip
    return corpus


def _read(run: Run, name: str, corpus: Stage, who: Teacher) -> Row:
    """What the answers cost, and what the student makes of them."""
    from ded_ray.teachers.measure import answers_of, read

    student, knobs = run.recipe.student.model, run.recipe.curate.reading
    stage = run.stage(f"{name}_read", [student], [corpus])
    if not stage.done:
        found = _on_a_worker(run, read, corpus.folder, student, knobs)
        _write(stage, found)
    return {**answers_of(corpus.folder, who), **json.loads((stage.folder / "_found.json").read_text())}


def _student(run: Run, inputs: Inputs, name: str, corpus: Stage) -> tuple[Stage, Stage]:
    """(the student that learnt from these answers, what it answers on the in-domain benchmarks)."""
    recipe, knobs = run.recipe, run.recipe.teachers
    # The same number of steps for all, however many of a candidate's answers can be learnt from.
    steps = knobs.epochs * -(-knobs.num_questions // recipe.train.batch_size)
    brief = recipe.train.model_copy(update={"epochs": steps, "max_steps": steps})
    small = recipe.model_copy(update={"train": brief})
    student = run.stage(f"{name}_student", [brief.identity(), recipe.student.model, recipe.seed], [corpus])
    if not student.done:
        train_on(corpus, student, small)
    benchmarks = {b.name: inputs.benchmarks[b.name] for b in recipe.evaluate.in_domain}
    asked = {key: [problem.to_row() for problem in problems] for key, problems in benchmarks.items()}
    evaluating = [recipe.evaluate.sampling, recipe.verify.identity(), inputs.verifiers, recipe.seed, asked]
    scored = run.stage(f"{name}_scores", evaluating, [student])
    if not scored.done:
        evaluate_model(name, str(student.folder / "model"), benchmarks, scored, recipe)
    return student, scored


def _shift(run: Run, inputs: Inputs, name: str, student: Stage) -> float:
    from ded_ray.teachers.measure import pca_shift

    recipe = run.recipe
    stage = run.stage(f"{name}_shift", [recipe.student.model], [student])
    if not stage.done:
        held_out = [problem for b in recipe.evaluate.in_domain for problem in inputs.benchmarks[b.name]]
        some = Random(recipe.seed).sample(held_out, min(NUM_TEXTS, len(held_out)))
        texts = [f"{problem.prompt}\n{problem.answer}" for problem in some]
        trained = str(student.folder / "model")
        shift = _on_a_worker(run, pca_shift, recipe.student.model, trained, texts, recipe.curate.reading)
        _write(stage, {"pca_shift": shift})
    return json.loads((stage.folder / "_found.json").read_text())["pca_shift"]


def _on_a_worker(run: Run, work: Any, *arguments: Any) -> Any:
    """Torch and its threads stay out of the driver, and a GPU may be on another machine."""
    from ded_ray.machine import start_ray

    start_ray(run.recipe)
    import ray

    knobs = run.recipe.curate.reading
    return ray.get(ray.remote(num_cpus=knobs.num_cpus, num_gpus=knobs.num_gpus)(work).remote(*arguments))


def _write(stage: Stage, found: dict[str, Any]) -> None:
    write_atomically(stage.begin() / "_found.json", json.dumps(found))
    stage.seal("candidates", 1, Counter(), 1)


def _by_benchmark(own: Path) -> Rates:
    """Of a candidate's answers to `_held_out`."""
    found: Rates = {}
    for key, rate in _pass_rates(own).items():
        benchmark, _, problem = key.partition("/")
        found.setdefault(benchmark, {})[problem] = rate
    return found


def _pass_rates(path: Path) -> dict[str, float]:
    from ded_ray.evaluate.scores import pass_rates

    return pass_rates(read_records(path, Group))
