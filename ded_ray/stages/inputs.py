"""What comes from outside, read and checked before anything is written or paid for."""

from dataclasses import dataclass, field, replace

from ded_ray.errors import BadInput
from ded_ray.generate.identity import identity
from ded_ray.generate.preflight import check_answers, check_model, check_prompts_fit
from ded_ray.recipe import Generator, OpenAIEngine, Recipe, TransformersEngine, VllmEngine
from ded_ray.records import Problem
from ded_ray.sources.problems import read_all, read_problems
from ded_ray.stages.spending import check_budget
from ded_ray.train.preflight import check_student
from ded_ray.verify.own import check_function
from ded_ray.verify.references import tell_unverifiable, why_unverifiable


@dataclass(frozen=True)
class Inputs:
    """All that comes from outside, read and checked."""

    problems: list[Problem]
    benchmarks: dict[str, list[Problem]]
    verifiers: dict[str, str]  # by name, a hash of those that are the user's own: another text makes other verdicts
    prompt_preview: dict[str, str]  # what each model will be shown of the first problem, and in how many tokens
    warnings: list[str] = field(default_factory=list)  # a line on every source with problems that nothing can check

    def prompt_previews(self, of: str) -> list[str]:
        """The lines to print before the student, or the teachers, are asked."""
        return [f"{name}, first prompt, {preview}" for name, preview in self.prompt_preview.items() if name.startswith(of)]

    def benchmark_rows(self, names: list[str]) -> dict[str, list[dict]]:
        """What these benchmarks ask, as a part of a stage's fingerprint."""
        return {name: [problem.to_row() for problem in self.benchmarks[name]] for name in names}


def read_inputs(recipe: Recipe) -> Inputs:
    """Read every source and check that every prompt fits every model that will be asked. Raises BadInput."""
    inputs = read_sources(recipe)
    return replace(inputs, prompt_preview=check_models(inputs, recipe))


def read_sources(recipe: Recipe) -> Inputs:
    """Problems and benchmarks alone: no model is looked at. Raises BadInput."""
    problems = _mark_unverifiable(read_all(recipe.problems), recipe)
    benchmarks = {benchmark.name: _kept(read_problems(benchmark.problems)) for benchmark in recipe.evaluate.benchmarks}
    for name in (name for name, questions in benchmarks.items() if not questions):
        raise BadInput(f"evaluate.benchmarks: {name} has not one problem with an answer; set problems.answer_column")
    held_out = [problem for questions in benchmarks.values() for problem in questions]
    names = sorted({problem.verifier for problem in [*problems, *held_out]})
    verifiers = {name: check_function(name, "problems.verifier") for name in names}
    sources = {"problems": problems, **{f"benchmark {name}": questions for name, questions in benchmarks.items()}}
    warnings = [line for what, questions in sources.items() if (line := tell_unverifiable(questions, what))]
    return Inputs(problems, benchmarks, verifiers, {}, warnings)


def check_models(inputs: Inputs, recipe: Recipe) -> dict[str, str]:
    """What each model will be shown of the first problem. Raises BadInput for the first that cannot do what the recipe
    wants of it."""
    prompt_preview, held_out = {}, [problem for questions in inputs.benchmarks.values() for problem in questions]
    for knob, generator in models_of(recipe).items():
        if knob == "student" and not recipe.student.measure_pass_rate:
            check_model(generator, knob)  # it is trained all the same
            continue
        if preview := check_answers(_kept(inputs.problems), generator, knob):
            prompt_preview[knob] = preview
    check_student(recipe.student, recipe.train)
    check_budget(recipe)
    _check_benchmarks_fit(held_out, recipe)
    _check_teachers_differ(recipe)
    if recipe.teachers.choose:
        check_comparable(recipe)
    if recipe.verify.judge is not None:
        check_answers([], recipe.verify.judge, "verify.judge")
    return prompt_preview


def why_refused(inputs: Inputs, recipe: Recipe) -> str | None:
    """The line with which a run of this recipe would end before it begins; None where it would begin."""
    try:
        check_models(inputs, recipe)
    except BadInput as error:
        return str(error)
    return None


def _mark_unverifiable(problems: list[Problem], recipe: Recipe) -> list[Problem]:
    """The problems, dropped where no answer could be checked: nobody is paid for those. Raises BadInput when that is all.

    A judge that is asked what the rules cannot check may still decide, and then all are kept.
    """
    if recipe.verify.judge is not None and "unverifiable" in recipe.verify.judge.statuses:
        return problems
    marked = []
    for problem in problems:
        is_unverifiable = problem.dropped_because is None and why_unverifiable(problem) is not None
        marked.append(replace(problem, dropped_because="unverifiable_reference") if is_unverifiable else problem)
    if not _kept(marked) and (line := tell_unverifiable(_kept(problems), problems[0].source)):
        raise BadInput(f"{line}; set problems.answer_column or problems.verifier, or ask a verify.judge")
    return marked


def _kept(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.dropped_because is None]


def models_of(recipe: Recipe) -> dict[str, Generator]:
    """The student and its teachers by what a recipe and a run call them: student; teacher, or teachers.0, teachers.1, ..."""
    candidates = recipe.teachers.candidates
    if len(candidates) == 1:
        return {"student": recipe.student, "teacher": candidates[0]}
    return {"student": recipe.student, **{f"teachers.{i}": teacher for i, teacher in enumerate(candidates)}}


def can_be_served(generator: Generator) -> bool:
    """Replayed and scripted teachers are no models, and remote ones are served elsewhere."""
    return isinstance(generator.engine, TransformersEngine | VllmEngine)


def can_be_evaluated(generator: Generator) -> bool:
    """What can be served here, and what is served elsewhere."""
    return can_be_served(generator) or isinstance(generator.engine, OpenAIEngine)


def _check_benchmarks_fit(held_out: list[Problem], recipe: Recipe) -> None:
    limit = "evaluate.sampling.max_tokens"
    for knob, generator in models_of(recipe).items():
        if knob == "student" or can_be_served(generator):
            served = Generator(model=generator.model, chat=generator.chat)
            check_prompts_fit(held_out, served, max_tokens=recipe.evaluate.sampling.max_tokens, knob=knob, limit=limit)


def _check_teachers_differ(recipe: Recipe) -> None:
    """Raise BadInput if two teachers have the same group ids: each would take the other's answers for its own."""
    first_with: dict[str, str] = {}
    for knob, generator in models_of(recipe).items():
        if knob != "student" and (other := first_with.setdefault(identity(generator, recipe.seed), knob)) != knob:
            raise BadInput(f"{knob}: the same model, asked in the same way, as {other}; leave one of them out")


def check_comparable(recipe: Recipe) -> None:
    """Raise BadInput for candidates that cannot be told apart by what their students score."""
    if not recipe.teachers.proxy and not recipe.evaluate.in_domain:
        raise BadInput("evaluate.benchmarks: students are compared on domain in; add one, or set teachers.proxy: rsr")
