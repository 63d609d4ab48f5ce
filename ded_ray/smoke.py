"""DED's smoke test as stages of a run: every candidate answers the same questions once, the student learns from each, and is
measured; then one is chosen. Each step leaves a folder of its own, so that it resumes like everything else.
"""

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from ded_ray.inputs import Inputs
from ded_ray.knobs import BadInput
from ded_ray.recipe import Recipe, Teacher
from ded_ray.records import Group, Problem, read_records
from ded_ray.run import Run, Stage, write_atomically
from ded_ray.stages import answers_stage, evaluate_model, kept_problems, stream_answers, train_on, write_problems
from ded_ray.teachers.choice import Row, choose, compare, disagreement

NUM_TEXTS = 30
"""Benchmark problems whose hidden states the PCA shift compares: the default of the tool that DED used."""


def check_comparable(recipe: Recipe) -> None:
    """Raise BadInput for a recipe whose candidates cannot be told apart by what their students score."""
    if not recipe.teachers.proxy and not any(benchmark.domain == "in" for benchmark in recipe.evaluate.benchmarks):
        raise BadInput("evaluate.benchmarks: students are compared on domain in; add one, or set teachers.proxy: rsr")


def choose_teachers(run: Run, inputs: Inputs, problems: Stage) -> tuple[Teacher, ...]:
    """The teachers that answer every question: all candidates, or with `teacher: auto` the one that is chosen."""
    if run.recipe.teachers.choose:
        check_comparable(run.recipe)
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
    measured = [_candidate(run, inputs, i, questions, held_out) for i in range(len(knobs.candidates))]
    stage = run.stage("teacher_choice", [knobs.proxy, recipe.evaluate.bootstrap_resamples], [s for s, _, _ in measured])
    if not stage.done:
        found = _choice([row for _, row, _ in measured], [rates for _, _, rates in measured], recipe)
        stage.begin()
        write_atomically(run.folder / "teachers.json", json.dumps(found, indent=1) + "\n")
        stage.seal("teachers", len(measured), +Counter(not_chosen=len(measured) - 1), 1)
    return json.loads((run.folder / "teachers.json").read_text())


def _choice(rows: list[Row], rates: list[list[float]], recipe: Recipe) -> dict[str, Any]:
    knobs = recipe.teachers
    winner = choose(rows, knobs.proxy)
    if all(rates):
        apart = compare(rates, winner, recipe.evaluate.bootstrap_resamples, recipe.seed)
        rows = [{**row, "difference_ci95": interval} for row, interval in zip(rows, apart, strict=True)]
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
        for benchmark in run.recipe.evaluate.benchmarks if benchmark.domain == "in"
        for problem in inputs.benchmarks[benchmark.name]
    ]  # fmt: skip
    if not asked:
        return None
    stage = run.stage("smoke_held_out", [[problem.to_row() for problem in asked]])
    if not stage.done:
        write_problems(stage, asked)
    return stage


def _candidate(run: Run, inputs: Inputs, i: int, questions: Stage, held_out: Stage | None) -> tuple[Stage, Row, list[float]]:
    """(the stage that its row depends on, its row, the pass rates of its student on the in-domain problems)."""
    recipe = run.recipe
    who = recipe.teachers.candidates[i]
    who = who.model_copy(update={"sampling": who.sampling.model_copy(update={"num_rollouts": 1, "adaptive": None})})
    corpus = _answers(run, inputs, f"smoke_{i}", who, questions)
    row: Row = {"model": who.model, **_read(run, i, corpus, who)}
    if held_out is not None:
        own = _answers(run, inputs, f"smoke_{i}_own", who, held_out)
        rates = _pass_rates([own.folder])
        row["own_score"] = sum(rates) / len(rates) if rates else None
    if recipe.teachers.proxy:
        return corpus, row, []
    student, scored = _student(run, inputs, i, corpus)
    benchmarks = [b.name for b in recipe.evaluate.benchmarks if b.domain == "in"]
    by_benchmark = [_pass_rates([scored.folder / f"{name}.parquet"]) for name in benchmarks]
    means = [sum(rates) / len(rates) for rates in by_benchmark if rates]
    row["student_score"] = sum(means) / len(means) if means else None
    row["pca_shift"] = _shift(run, inputs, i, student)
    return scored, row, [rate for rates in by_benchmark for rate in rates]


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


def _read(run: Run, i: int, corpus: Stage, who: Teacher) -> Row:
    """What the answers cost, and what the student makes of them."""
    from ded_ray.teachers.measure import answers_of, read

    student, knobs = run.recipe.student.model, run.recipe.curate.reading
    stage = run.stage(f"smoke_{i}_read", [student], [corpus])
    if not stage.done:
        found = _on_a_worker(run, read, corpus.folder, student, knobs)
        _write(stage, found)
    return {**answers_of(corpus.folder, who), **json.loads((stage.folder / "_found.json").read_text())}


def _student(run: Run, inputs: Inputs, i: int, corpus: Stage) -> tuple[Stage, Stage]:
    """(the student that learnt from these answers, what it answers on the in-domain benchmarks)."""
    recipe, knobs = run.recipe, run.recipe.teachers
    # The same number of steps for all, however many of a candidate's answers can be learnt from.
    steps = knobs.epochs * -(-knobs.num_questions // recipe.train.batch_size)
    brief = recipe.train.model_copy(update={"epochs": steps, "max_steps": steps})
    small = recipe.model_copy(update={"train": brief})
    student = run.stage(f"smoke_{i}_student", [brief.identity(), recipe.student.model, recipe.seed], [corpus])
    if not student.done:
        train_on(corpus, student, small)
    benchmarks = {b.name: inputs.benchmarks[b.name] for b in recipe.evaluate.benchmarks if b.domain == "in"}
    asked = {name: [problem.to_row() for problem in problems] for name, problems in benchmarks.items()}
    evaluating = [recipe.evaluate.sampling, recipe.verify.identity(), inputs.verifiers, recipe.seed, asked]
    scored = run.stage(f"smoke_{i}_scores", evaluating, [student])
    if not scored.done:
        evaluate_model(f"smoke_{i}", str(student.folder / "model"), benchmarks, scored, recipe)
    return student, scored


def _shift(run: Run, inputs: Inputs, i: int, student: Stage) -> float:
    from ded_ray.teachers.measure import pca_shift

    recipe = run.recipe
    stage = run.stage(f"smoke_{i}_shift", [recipe.student.model], [student])
    if not stage.done:
        held_out = [p for b in recipe.evaluate.benchmarks if b.domain == "in" for p in inputs.benchmarks[b.name]]
        texts = [f"{problem.prompt}\n{problem.answer}" for problem in held_out[:NUM_TEXTS]]
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


def _pass_rates(paths: list[Path]) -> list[float]:
    from ded_ray.evaluate.scores import pass_rates

    return pass_rates(sorted((g for path in paths for g in read_records(path, Group)), key=lambda g: g.problem_id))
