"""The whole story in order. READ THIS FIRST.

Problems go in; the student answers them, which shows what it does not know yet; the teachers, or the one that teaches
best, answer what is left; verifiers reward every answer; the best and most diverse are kept and weighted; the student is
trained on them, served, and measured against its base and its teacher. Every stage leaves a folder; a stage whose folder
still fits is skipped. `stages.py` holds the machinery behind the steps.
"""

from collections.abc import Sequence
from pathlib import Path

from ded_ray.inputs import Inputs, can_be_evaluated, models_of, read_inputs
from ded_ray.recipe import Recipe, Teacher
from ded_ray.records import Group, Problem
from ded_ray.run import Run, Stage
from ded_ray.smoke import choose_teachers
from ded_ray.stages import (
    answers_stage,
    evaluate_model,
    kept_problems,
    mix_groups,
    stream_answers,
    train_on,
    write_problems,
    write_results,
)


def run_pipeline(recipe: Recipe, folder: Path) -> Run:
    """Make, or finish, the run in this folder. Raises BadInput before anything is written."""
    inputs = read_inputs(recipe)
    run = Run.create(folder, recipe)
    problems = choose_problems(run, inputs)
    teachers = choose_teachers(run, inputs, problems)
    questions = ask_student(run, inputs, problems)
    curated = ask_teachers(run, inputs, questions, teachers)
    curated = mix_subjects(run, curated)
    checkpoint = train_student(run, curated)
    evaluations = evaluate(run, inputs, checkpoint, teachers)
    report(run, checkpoint, evaluations)
    return run


def choose_problems(run: Run, inputs: Inputs) -> Stage:
    """Each prompt once, and none that a benchmark will ask."""
    stage = run.stage("problems", [[problem.to_row() for problem in inputs.problems]])
    if not stage.done:
        write_problems(stage, inputs.problems, inputs.hits)
    return stage


def ask_student(run: Run, inputs: Inputs, problems: Stage) -> Stage:
    """The student first: its pass rate says which questions the expensive teacher need not answer (DED, compression)."""
    from ded_ray.curate.plan import questions

    recipe = run.recipe
    if not recipe.student.measure_pass_rate:
        stage = run.stage("questions", [], [problems])
        if not stage.done:
            write_problems(stage, kept_problems(problems))
        return stage
    rollouts = answers_stage(run, "student_rollouts", [recipe.student], problems)
    verdicts = run.stage("student_verdicts", [recipe.verify.identity(), inputs.verifiers], [rollouts])
    stage = run.stage("questions", [recipe.curate.compress], [verdicts])
    if not stage.done:
        stream_answers(
            "student", problems, [recipe.student], (rollouts, verdicts, stage), Problem,
            distil=lambda groups: questions(groups, recipe.curate), first_look=inputs.first_looks("student"),
        )  # fmt: skip
    return stage


def ask_teachers(run: Run, inputs: Inputs, questions: Stage, teachers: Sequence[Teacher]) -> Stage:
    """The teachers answer what survived; their answers are verified and curated while they are still answering."""
    from ded_ray.curate.plan import curate
    from ded_ray.verify.plan import reward

    recipe = run.recipe
    rollouts = answers_stage(run, "teacher_rollouts", teachers, questions)
    verdicts = run.stage("teacher_verdicts", [recipe.verify.identity(), inputs.verifiers], [rollouts])
    knobs = recipe.curate
    curating = [recipe.rewards, knobs.quality, knobs.diversity, knobs.weights, recipe.student.model, recipe.seed]
    longest = recipe.train.max_length
    stage = run.stage("curated", [*curating, longest], [verdicts])
    if not stage.done:
        stream_answers(
            "teacher", questions, teachers, (rollouts, verdicts, stage), Group,
            distil=lambda groups: curate(reward(groups, recipe.rewards), knobs, recipe.student.model, recipe.seed, longest),
            first_look=inputs.first_looks("teacher"),
        )  # fmt: skip
    return stage


def mix_subjects(run: Run, curated: Stage) -> Stage:
    """So many examples of each subject, where the recipe says how many."""
    if not run.recipe.curate.mix:
        run.forget("mixed")
        return curated
    stage = run.stage("mixed", [run.recipe.curate.mix, run.recipe.seed], [curated])
    if not stage.done:
        mix_groups(curated, stage)
    return stage


def train_student(run: Run, curated: Stage) -> Stage:
    """Reward-weighted supervised fine-tuning on the kept completions."""
    stage = run.stage("checkpoint", [run.recipe.train.identity(), run.recipe.student.model, run.recipe.seed], [curated])
    if not stage.done:
        train_on(curated, stage, run.recipe)
    return stage


def evaluate(run: Run, inputs: Inputs, checkpoint: Stage, teachers: Sequence[Teacher]) -> list[Stage]:
    """Base, student and teacher, each asked through the endpoint that serves it."""
    if not inputs.benchmarks:
        return []
    recipe, stages = run.recipe, []
    trained = str(checkpoint.folder / "model")
    models: dict[str, tuple[str, list[Stage]]] = {"base": (recipe.student.model, []), "student": (trained, [checkpoint])}
    for name, who in models_of(recipe).items():
        if name != "student" and who in teachers and can_be_evaluated(who):
            models[name] = (who.model, [])
    problems = {name: [problem.to_row() for problem in asked] for name, asked in inputs.benchmarks.items()}
    for name, (model, made_from) in models.items():
        known_by = "" if made_from else model  # the student's folder may move; its checkpoint stage says what it is
        stage = run.stage(
            f"evaluate_{name}",
            [recipe.evaluate.identity(), recipe.verify.identity(), inputs.verifiers, recipe.seed, problems, known_by],
            made_from,
        )
        if not stage.done:
            evaluate_model(name, model, inputs.benchmarks, stage, recipe)
        stages.append(stage)
    return stages


def report(run: Run, checkpoint: Stage, evaluations: list[Stage]) -> None:
    """scores.json and report.html."""
    stage = run.stage("report", [run.recipe.evaluate.identity()], [checkpoint, *evaluations])
    if not stage.done or not all((run.folder / name).exists() for name in ("scores.json", "report.html")):
        write_results(stage, evaluations)
