"""Where a recipe's problems come from. All of a source is read and checked before anything is written or paid for."""

from collections.abc import Iterator
from typing import Any

from ded_ray.knobs import BadInput
from ded_ray.recipe import FileProblems, Problems, TinyProblems
from ded_ray.records import Problem, stable_hash
from ded_ray.tiny.problems import make_problems
from ded_ray.user_files import as_answer, column, read_rows


def read_problems(source: Problems) -> list[Problem]:
    """All problems of a source, in its order, each with an id of its own. Raises BadInput."""
    if isinstance(source, TinyProblems):
        try:
            return make_problems(source.family, source.num_problems, source.difficulty, source.seed)
        except ValueError as error:
            raise BadInput(f"problems.difficulty: {error}; widen it or ask for fewer") from error
    problems: dict[str, Problem] = {}
    for where, problem in _file_problems(source):
        known = problems.setdefault(problem.problem_id, problem)
        if known is problem:
            continue
        if source.one_row_per == "problem":
            raise BadInput(f"{where}: duplicate problem id {problem.problem_id!r}; give every problem its own id, "
                           f"or set problems.one_row_per to rollout")  # fmt: skip
        if (known.prompt, known.answer) != (problem.prompt, problem.answer):
            raise BadInput(f"{where}: problem id {problem.problem_id!r} has another prompt or answer than before; "
                           f"give different problems different ids")  # fmt: skip
    return list(problems.values())


def _file_problems(source: FileProblems) -> Iterator[tuple[str, Problem]]:
    for number, (where, row) in enumerate(read_rows(source.path)):
        if number == source.limit:
            return
        yield where, _problem(source, row, where)


def _problem(source: FileProblems, row: dict[str, Any], where: str) -> Problem:
    prompt = column(row, source.prompt_column, where, "problems.prompt_column")
    if not isinstance(prompt, str):
        raise BadInput(
            f"{where}: `{source.prompt_column}` is a {type(prompt).__name__}, not a text; set problems.prompt_column"
        )
    answer = as_answer(column(row, source.answer_column, where, "problems.answer_column"), source.verifier)
    if not prompt.strip():
        raise BadInput(f"{where}: empty `{source.prompt_column}`; remove the row or fill it in")
    if source.answer_after is not None:
        if source.answer_after not in answer:
            raise BadInput(f"{where}: no {source.answer_after!r} in `{source.answer_column}`; set problems.answer_after")
        answer = answer.rsplit(source.answer_after, 1)[1].strip()
    id_column = source.id_column or ("problem_id" if row.get("problem_id") is not None else None)
    problem_id = str(column(row, id_column, where, "problems.id_column")) if id_column else stable_hash(prompt)
    choices = column(row, source.choices_column, where, "problems.choices_column") if source.choices_column else []
    if not isinstance(choices, list):
        raise BadInput(
            f"{where}: `{source.choices_column}` is a {type(choices).__name__}, not a list of options; make it one"
        )
    return Problem(
        problem_id=problem_id,
        prompt=prompt,
        answer=answer,
        verifier=source.verifier,
        source=source.path,
        choices=[str(choice) for choice in choices],
    )
