"""What comes from outside, read and checked before anything is written or paid for."""

from dataclasses import dataclass

from ded_ray.curate.contamination import Hit
from ded_ray.curate.questions import choose_questions
from ded_ray.generate.engine import identity, key_of
from ded_ray.knobs import BadInput
from ded_ray.recipe import Model, OpenAIEngine, Recipe, ReplayEngine, TransformersEngine, VllmEngine
from ded_ray.records import Problem
from ded_ray.sources.check import check_adapter, check_function, check_prompts_fit
from ded_ray.sources.problems import read_all, read_problems

LOCAL = TransformersEngine | VllmEngine
"""Engines that load the model themselves: its tokenizer can be asked before anything is spent."""


@dataclass(frozen=True)
class Inputs:
    """All that comes from outside, read and checked."""

    problems: list[Problem]
    benchmarks: dict[str, list[Problem]]
    hits: list[Hit]  # problems that a benchmark gives away
    verifiers: dict[str, str]  # by name, a hash of those that are the user's own: another text makes other verdicts
    first_look: dict[str, str]  # what each model will be shown of the first problem, and in how many tokens

    def first_looks(self, of: str) -> list[str]:
        """The lines to print before the student, or the teachers, are asked."""
        return [f"{name}, first prompt, {seen}" for name, seen in self.first_look.items() if name.startswith(of)]


def read_inputs(recipe: Recipe) -> Inputs:
    """Read every source and check that every prompt fits every model that will be asked. Raises BadInput."""
    problems = read_all(recipe.problems)
    benchmarks = {b.name: read_problems(b.problems) for b in recipe.evaluate.benchmarks}
    asked = [problem for benchmark in benchmarks.values() for problem in benchmark]
    verifiers = sorted({problem.verifier for problem in [*problems, *asked]})
    sources = {name: check_function(name, "problems.verifier") for name in verifiers}
    first_look = {}
    for knob, who in models_of(recipe).items():
        if knob == "student" and not recipe.student.measure_pass_rate:
            continue
        if seen := check_answers(problems, who, knob):
            first_look[knob] = seen
    for knob, who in models_of(recipe).items():
        if knob == "student" or can_be_evaluated(who):
            plain = Model(model=who.model)  # the endpoint asks without system message and other templates
            check_prompts_fit(asked, plain, recipe.evaluate.sampling.max_tokens, knob, "evaluate.sampling.max_tokens")
    check_apart(recipe)
    if recipe.teachers.choose:
        check_comparable(recipe)
    if recipe.verify.judge is not None:
        check_answers([], recipe.verify.judge, "verify.judge")
    hits = choose_questions(problems, benchmarks, recipe.curate.questions)
    return Inputs(problems, benchmarks, hits, sources, first_look)


def models_of(recipe: Recipe) -> dict[str, Model]:
    """The student and its teachers by what a recipe and a run call them: student; teacher, or teachers.0, teachers.1, ..."""
    several = len(recipe.teachers.candidates) > 1
    teachers = {f"teachers.{i}" if several else "teacher": who for i, who in enumerate(recipe.teachers.candidates)}
    return {"student": recipe.student, **teachers}


def can_be_evaluated(teacher: Model) -> bool:
    """Replayed, scripted and remote teachers cannot be served here, and those that need vLLM are too big to."""
    return isinstance(teacher.engine, TransformersEngine)


def check_apart(recipe: Recipe) -> None:
    """Raise BadInput where two teachers are the same to a group's id: each would take the other's answers for its own."""
    known: dict[str, str] = {}
    for knob, who in models_of(recipe).items():
        if knob != "student" and (other := known.setdefault(identity(who, recipe.seed), knob)) != knob:
            raise BadInput(f"{knob}: the same model, asked in the same way, as {other}; leave one of them out")


def check_comparable(recipe: Recipe) -> None:
    """Raise BadInput for candidates that cannot be told apart by what their students score."""
    if not recipe.teachers.proxy and not recipe.evaluate.in_domain:
        raise BadInput("evaluate.benchmarks: students are compared on domain in; add one, or set teachers.proxy: rsr")


def check_answers(problems: list[Problem], who: Model, knob: str) -> str | None:
    """Raise BadInput when this model cannot answer these problems: no such model, no room, no key, no rollout.

    Returns what the model will see of the first of them.
    """
    if isinstance(who.engine, VllmEngine):
        check_adapter(who.engine, knob)
    if isinstance(who.engine, LOCAL):
        return check_prompts_fit(problems, who, who.sampling.max_tokens, knob, f"{knob}.sampling.max_tokens")
    if isinstance(who.engine, ReplayEngine):
        from ded_ray.generate.replay_engine import check_covers

        check_covers(who.engine, problems)
    if isinstance(who.engine, OpenAIEngine):
        key_of(who)
        return f"the endpoint counts its tokens: {who.chat.messages(problems[0].prompt)}" if problems else None
    return None
