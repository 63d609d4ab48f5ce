"""A recipe as a list of work, in the order in which it is done. What is not known beforehand is a guess that says so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ded_ray.plan.interval import NOTHING, Interval
from ded_ray.recipe import Generator, Judge, Recipe, ReplayEngine, Sampling, ScriptedEngine

LEFT = Interval(0.1, 0.5, 1.0)
"""Share of the questions that the student leaves to the teacher. A guess: DED keeps 237 of 830 (its Method), an easy student
all of them."""
KEPT = Interval(0.2, 0.6, 1.0)
"""Share of a teacher's completions that are right and well-formed. A guess: 0.83 of DED's questions had a right one."""
LENGTH = Interval(0.1, 0.5, 1.0)
"""Tokens of a completion as a share of max_tokens. A guess; `--sample` measures."""
UNCHECKED = Interval(0.0, 0.05, 1.0)
"""Share of the answers that rules cannot check, so that a judge is asked. A guess: it depends on the references."""
JUDGED = Interval(100, 400, 1200)
"""Tokens that a judge reads beside the question: its instruction, the reference, and the end of an answer, at most
verify/judge.py's MAX_ANSWER_CHARS. A guess."""


@dataclass(frozen=True)
class Known:
    """What is known of the inputs, and of a run that was begun."""

    num_problems: int
    benchmarks: dict[str, int]  # questions by name
    num_questions: int | None = None  # that the student left; None: not known yet
    num_examples: int | None = None  # that curation kept
    tokens: dict[str, Interval] = field(default_factory=dict)  # of a completion, measured, by the model's knob
    prompt_tokens: float = 0.0  # mean


@dataclass(frozen=True)
class Model:
    """Who answers: the knob of the recipe that names it, and how."""

    knob: str
    generator: Generator


@dataclass(frozen=True)
class Answering:
    step: str  # as in runtime/needs.py
    label: str
    models: Sequence[Model]  # each of them answers all of it
    prompts: Interval
    rollouts: Interval  # of each prompt
    max_tokens: int
    served: bool = False  # behind an endpoint of the run's own, one model after the other
    beside: bool = False  # while others answer, on GPUs that are counted with theirs
    added: Interval = NOTHING  # tokens of a prompt beside the problem's

    @property
    def at_most(self) -> str:
        prompts, rollouts = int(self.prompts.high), int(self.rollouts.high)
        total, each = prompts * rollouts, ", per model" if len(self.models) > 1 else ""
        return f"{prompts} x {rollouts} = {total} rollouts, {total * self.max_tokens} tokens{each}"


@dataclass(frozen=True)
class Training:
    step: str
    label: str
    source: str  # the knob of the model whose completions are learnt
    sequences: Interval  # of all epochs together
    at_most: str


Work = Answering | Training


def models_of_work(recipe: Recipe) -> tuple[Model, list[Model]]:
    """(the student, its teachers) under the names that recipes and runs give them."""
    candidates = recipe.teachers.candidates
    names = ["teacher"] if len(candidates) == 1 else [f"teachers.{i}" for i in range(len(candidates))]
    return Model("student", recipe.student), [Model(*pair) for pair in zip(names, candidates, strict=True)]


def work_of(recipe: Recipe, known: Known) -> list[Work]:
    """All that a run of this recipe does, were nothing there yet."""
    student, teachers = models_of_work(recipe)
    work: list[Work] = []
    questions = all_questions = Interval.exactly(known.num_problems)
    if recipe.student.measure_pass_rate:
        sampling = recipe.student.sampling
        work.append(
            Answering(
                "student answers", "student answers", [student], all_questions, rollouts_of(sampling), sampling.max_tokens
            )
        )
        questions = all_questions * LEFT
    if known.num_questions is not None:
        questions = Interval.exactly(known.num_questions)
    if recipe.teachers.choose:
        work += _smoke_test(recipe, known, student, teachers)
        teachers = [max(teachers, key=_most_tokens)]  # which one it will be is not known yet
    for teacher in teachers:
        sampling = teacher.generator.sampling
        label = f"{teacher.generator.model if len(teachers) > 1 else 'teacher'} answers"
        if recipe.teachers.choose:
            label = f"one teacher of {len(recipe.teachers.candidates)} answers"
        work.append(Answering("teacher answers", label, [teacher], questions, rollouts_of(sampling), sampling.max_tokens))
    work.append(_training(recipe, known, questions))
    sampling = recipe.evaluate.sampling
    no_models = ReplayEngine | ScriptedEngine
    evaluated = [teacher for teacher in teachers if not isinstance(teacher.generator.engine, no_models)]
    for benchmark in recipe.evaluate.benchmarks:
        samples = Interval.exactly(benchmark.num_samples or sampling.num_rollouts)
        asked = Interval.exactly(known.benchmarks[benchmark.name])
        models = [Model("base", recipe.student), student, *evaluated]
        label = f"evaluate {benchmark.name}"
        work.append(Answering("evaluate", label, models, asked, samples, sampling.max_tokens, served=True))
    if recipe.verify.judge is not None:
        work.append(_judging(recipe.verify.judge, work))
    return work


def _most_tokens(teacher: Model) -> int:
    """That it may write for one question."""
    return teacher.generator.sampling.most_rollouts * teacher.generator.sampling.max_tokens


def rollouts_of(sampling: Sampling) -> Interval:
    """Of one prompt. With adaptive sampling between a first round and all of them: the middle is a guess."""
    first, most = sampling.rounds[0], sampling.most_rollouts
    return Interval(first, (first + most) / 2, most)


def _judging(judge: Judge, work: Sequence[Work]) -> Answering:
    """Of what rules cannot check, and of the share that is audited, of all that is answered."""
    answered = [each.prompts * each.rollouts * len(each.models) for each in work if isinstance(each, Answering)]
    asked = sum(answered, NOTHING) * (UNCHECKED + Interval.exactly(judge.audit_rate)).at_most(1)
    model, sampling = Model("verify.judge", judge), judge.sampling
    return Answering("judge", "judge", [model], asked, rollouts_of(sampling), sampling.max_tokens, beside=True, added=JUDGED)


def _training(recipe: Recipe, known: Known, questions: Interval) -> Training:
    """On what is kept of the answers of the one teacher that is chosen, or of all of them."""
    config, kept_of = recipe.train, list[Interval]()
    for teacher in recipe.teachers.candidates:
        made = rollouts_of(teacher.sampling)
        kept_of.append((made * KEPT).at_most(recipe.curate.diversity.num_kept or made.high))
    kept = max(kept_of, key=lambda each: each.mid) if recipe.teachers.choose else sum(kept_of[1:], kept_of[0])
    examples = questions * kept
    if known.num_examples is not None:
        examples = Interval.exactly(known.num_examples)
    most = f"{config.epochs} epochs of batches of {config.batch_size}"
    if config.max_steps is not None and config.max_steps < config.epochs * _batches(recipe, examples.high):
        most = f"{config.max_steps} steps of {config.batch_size} examples (train.max_steps)"
    sequences = Interval(*(_sequences(recipe, number) for number in (examples.low, examples.mid, examples.high)))
    _, teachers = models_of_work(recipe)
    return Training("train", "train", teachers[0].knob, sequences, f"{int(examples.high)} examples, {most}")


def _batches(recipe: Recipe, examples: float) -> int:
    """Of one epoch; the last one may be small."""
    return max(1, math.ceil(examples / recipe.train.batch_size))


def _sequences(recipe: Recipe, examples: float) -> float:
    """That so many examples make in all epochs, or in the steps after which the training ends."""
    config, batches = recipe.train, _batches(recipe, examples)
    epochs = config.epochs if config.max_steps is None else min(config.epochs, config.max_steps / batches)
    return examples * epochs


def _smoke_test(recipe: Recipe, known: Known, student: Model, teachers: list[Model]) -> list[Work]:
    """Every candidate answers the same questions once, and the student learns from each and is measured."""
    config, sampling, work = recipe.teachers, recipe.evaluate.sampling, list[Work]()
    num_questions = min(config.num_questions, known.num_problems)
    held_out = sum(known.benchmarks[benchmark.name] for benchmark in recipe.evaluate.in_domain)
    asked, once = Interval.exactly(num_questions + held_out), Interval.exactly(1)
    longest = max(teacher.generator.sampling.max_tokens for teacher in teachers)
    work.append(Answering("smoke test", "smoke test", teachers, asked, once, longest))
    if config.proxy:
        return work
    steps = config.epochs * -(-config.num_questions // recipe.train.batch_size)
    sequences = Interval.exactly(len(teachers) * steps * recipe.train.batch_size)
    at_most = f"{steps} steps, for each of {len(teachers)}"
    work.append(Training("smoke test", "  its student", teachers[0].knob, sequences, at_most))
    measured = [student] * len(teachers)
    samples = Interval.exactly(sampling.num_rollouts)
    held = Interval.exactly(held_out)
    work.append(Answering("smoke test", "  measured", measured, held, samples, sampling.max_tokens, served=True))
    return work
