"""The step that chooses a teacher (DED's smoke test): every candidate answers the same questions once, the student learns
from each, and is measured.

Every part leaves a folder of its own, so that it resumes like everything else.
"""

import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from ded_ray.errors import BadInput, NoExamples
from ded_ray.evaluate.intervals import Bootstrap
from ded_ray.evaluate.scores import pass_rates
from ded_ray.files.parts import read_records, write_atomically
from ded_ray.generate.identity import identity
from ded_ray.recipe import Recipe, Teacher
from ded_ray.records import Group, Problem, stable_hash
from ded_ray.run import Run, Stage
from ded_ray.stages.answers import answers
from ded_ray.stages.evaluate import Measured, evaluate_models
from ded_ray.stages.inputs import Inputs
from ded_ray.stages.problems import kept_problems, write_problems
from ded_ray.stages.spending import spending
from ded_ray.stages.train import train_on
from ded_ray.teachers.select import Rates, Row, choose, compare, disagreement, mean_score

NUM_TEXTS = 30
"""Benchmark problems whose hidden states the PCA shift compares: the default of the tool that DED used."""


def choose_teachers(run: Run, inputs: Inputs, problems: Stage) -> tuple[Teacher, ...]:
    """The teachers that answer every question: all candidates, or with `teacher: auto` the one that is chosen."""
    if run.recipe.teachers.choose:
        smoke_test(run, inputs, problems)
    return chosen_teachers(run)


def chosen_teachers(run: Run) -> tuple[Teacher, ...]:
    """The same of a run that has chosen already."""
    config = run.recipe.teachers
    if not config.choose:
        return config.candidates
    return (config.candidates[json.loads((run.folder / "teachers.json").read_text())["winner"]],)


def smoke_test(run: Run, inputs: Inputs, problems: Stage) -> dict[str, Any]:
    """{"winner": index, "rows": one per candidate, ...}; also as teachers.json in the run's folder."""
    recipe, config = run.recipe, run.recipe.teachers
    questions = run.stage("smoke_questions", [config.num_questions, recipe.seed], [problems])
    if not questions.done:
        kept = sorted(kept_problems(problems), key=lambda problem: problem.problem_id)
        write_problems(questions, Random(recipe.seed).sample(kept, min(config.num_questions, len(kept))))
    held_out = _held_out(run, inputs)
    candidates = [_Candidate(run, inputs, teacher) for teacher in config.candidates]
    measured = [candidate.measure(questions, held_out) for candidate in candidates]
    stage = run.stage("teacher_choice", [config.proxy, recipe.evaluate.bootstrap_resamples], [s for s, _, _ in measured])
    if not stage.done:
        choice = _choice([row for _, row, _ in measured], [rates for _, _, rates in measured], recipe)
        stage.begin()
        write_atomically(run.folder / "teachers.json", json.dumps(choice, indent=1) + "\n")
        stage.seal("teachers", len(measured), +Counter(not_chosen=len(measured) - 1), 1)
    return json.loads((run.folder / "teachers.json").read_text())


def _choice(rows: list[Row], students: list[Rates], recipe: Recipe) -> dict[str, Any]:
    config = recipe.teachers
    if all(row["rsr"] is None for row in rows):
        raise BadInput("teachers.candidates: not one answer of any of them can be learnt from; the ledger says why")
    winner = choose(rows, config.proxy)
    if not config.proxy:
        differences = compare(students, Bootstrap(recipe.evaluate.bootstrap_resamples, recipe.seed))
        rows = [{**row, "differences_ci95": intervals} for row, intervals in zip(rows, differences, strict=True)]
    rule = "lowest RSR under the student" if config.proxy else "highest mean in-domain pass@1 of the trained student"
    return {
        "winner": winner,
        "rule": f"{rule}; equal: fewest tokens per verified answer",
        "entropy_of": recipe.student.model,
        "disagreement": disagreement(rows),
        "rows": rows,
    }


def _held_out(run: Run, inputs: Inputs) -> Stage | None:
    """The in-domain benchmarks as one folder of problems, for the candidates' own scores."""
    problems = [
        Problem.from_row({**problem.to_row(), "problem_id": f"{benchmark.name}/{problem.problem_id}"})
        for benchmark in run.recipe.evaluate.in_domain
        for problem in inputs.benchmarks[benchmark.name]
    ]  # fmt: skip
    if not problems:
        return None
    stage = run.stage("smoke_held_out", [[problem.to_row() for problem in problems]])
    if not stage.done:
        write_problems(stage, problems)
    return stage


class _Candidate:
    """One teacher in the smoke test."""

    def __init__(self, run: Run, inputs: Inputs, teacher: Teacher) -> None:
        self._run, self._inputs, self._recipe = run, inputs, run.recipe
        one_answer = teacher.sampling.model_copy(update={"num_rollouts": 1, "adaptive": None})
        self._teacher = teacher.model_copy(update={"sampling": one_answer})
        # Not its place in the list: another order is no reason to ask again.
        self._name = f"smoke_{stable_hash(identity(self._teacher, run.recipe.seed))[:8]}"

    def measure(self, questions: Stage, held_out: Stage | None) -> tuple[Stage, Row, Rates]:
        """(the stage that its row depends on, its row, the pass rates of its student on the in-domain benchmarks)."""
        corpus = self._answers(self._name, questions)
        row: Row = {"model": self._teacher.model, "stages": self._name, **self._read(corpus)}
        if held_out is not None:
            row["own_score"] = mean_score(self._own_rates(held_out))
        if self._recipe.teachers.proxy:
            return corpus, row, {}
        try:
            student, scored = self._student(corpus)
        except NoExamples:
            return corpus, row | {"student_score": None}, {}
        files = {
            benchmark.name: scored.folder / f"{benchmark.name}.parquet" for benchmark in self._recipe.evaluate.in_domain
        }
        rates = {name: pass_rates(read_records(file, Group)) for name, file in files.items()}
        row["student_score"] = mean_score(rates)
        row["pca_shift"] = self._shift(student)
        return scored, row, rates

    def _answers(self, name: str, questions: Stage) -> Stage:
        """What the candidate answers, verified: one answer each."""
        from ded_ray.runtime.map_groups import map_groups
        from ded_ray.runtime.needs import REWARD
        from ded_ray.teachers.measure import as_corpus

        return answers(
            self._run, self._inputs, name, questions,
            models=[self._teacher], into=f"{name}_corpus", parts=[], record=Group,
            transform=lambda groups: map_groups(groups, as_corpus, **REWARD.resources),
        )  # fmt: skip

    def _own_rates(self, held_out: Stage) -> Rates:
        """Of the candidate's own answers to `_held_out`, by benchmark."""
        rates: Rates = {}
        own = self._answers(f"{self._name}_own", held_out)
        for key, rate in pass_rates(read_records(own.folder, Group)).items():
            benchmark, _, problem = key.partition("/")
            rates.setdefault(benchmark, {})[problem] = rate
        return rates

    def _read(self, corpus: Stage) -> Row:
        """What the answers cost, and what the student makes of them."""
        from ded_ray.teachers.measure import answers_of, read

        student, config = self._recipe.student, self._recipe.curate.reading
        stage = self._run.stage(f"{self._name}_read", [student.model, *student.chat.parts()], [corpus])
        if not stage.done:
            _write_row(stage, _on_a_worker(self._run, read, corpus.folder, student, config))
        return {**answers_of(corpus.folder, self._teacher), **_read_row(stage)}

    def _student(self, corpus: Stage) -> tuple[Stage, Stage]:
        """(the student that learnt from these answers, what it answers on the in-domain benchmarks)."""
        recipe, config = self._recipe, self._recipe.teachers
        # The same number of steps for all, however many of a candidate's answers can be learnt from.
        steps = config.epochs * -(-config.num_questions // recipe.train.batch_size)
        brief = recipe.train.model_copy(update={"epochs": steps, "max_steps": steps})
        parts = [brief.identity(), recipe.student.model, recipe.seed, *recipe.student.chat.parts()]
        student = self._run.stage(f"{self._name}_student", parts, [corpus])
        if not student.done:
            train_on(corpus, student, recipe.model_copy(update={"train": brief}))
        names = [benchmark.name for benchmark in recipe.evaluate.in_domain]
        rows = self._inputs.benchmark_rows(names)
        parts = [recipe.evaluate.sampling, recipe.verify.identity(), self._inputs.verifiers, recipe.seed, rows]
        scored = self._run.stage(f"{self._name}_scores", parts, [student])
        if not scored.done:
            trained = recipe.student.model_copy(update={"model": str(student.folder / "model")})
            model = Measured(self._name, trained, student.token)
            evaluate_models([(scored, model)], {name: self._inputs.benchmarks[name] for name in names}, recipe)
        return student, scored

    def _shift(self, student: Stage) -> float:
        """How far the training moved the student's hidden states."""
        from ded_ray.teachers.measure import pca_shift

        recipe = self._recipe
        stage = self._run.stage(f"{self._name}_shift", [recipe.student.model], [student])
        if not stage.done:
            held_out = [problem for b in recipe.evaluate.in_domain for problem in self._inputs.benchmarks[b.name]]
            sample = Random(recipe.seed).sample(held_out, min(NUM_TEXTS, len(held_out)))
            texts = [f"{problem.prompt}\n{problem.answer}" for problem in sample]
            models = (recipe.student.model, str(student.folder / "model"))
            _write_row(stage, {"pca_shift": _on_a_worker(self._run, pca_shift, models, texts, recipe.curate.reading)})
        return _read_row(stage)["pca_shift"]


def _on_a_worker(run: Run, work: Callable[..., Any], *arguments: Any) -> Any:
    """Torch and its threads stay out of the driver, and a GPU may be on another machine."""
    from ded_ray.runtime.connect import start_ray
    from ded_ray.runtime.needs import reading_needs

    start_ray(run.recipe)
    import ray

    needs = reading_needs(run.recipe.curate.reading)
    with spending(run, "smoke_read", [needs]):
        return ray.get(ray.remote(**needs.resources)(work).remote(*arguments))


def _write_row(stage: Stage, row: dict[str, Any]) -> None:
    write_atomically(stage.begin() / "_found.json", json.dumps(row))
    stage.seal("candidates", 1, Counter(), 1)


def _read_row(stage: Stage) -> dict[str, Any]:
    return json.loads((stage.folder / "_found.json").read_text())
