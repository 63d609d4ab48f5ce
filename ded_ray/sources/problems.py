"""Where a recipe's problems come from. All of a source is read and checked before anything is written or paid for."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.evaluate.benchmarks import NAMES, benchmark
from ded_ray.files.code_tests import with_function_name
from ded_ray.files.conversations import prompt_of
from ded_ray.files.user import read_rows
from ded_ray.files.values import as_answer, as_text, cell, column, is_missing, letter, present, read_options
from ded_ray.models.load import HUB_DATA
from ded_ray.recipe import BenchmarkProblems, FileProblems, Problems, TinyProblems
from ded_ray.records import Problem, stable_hash
from ded_ray.sources.multiple_choice import shown, shuffled
from ded_ray.tiny.problems import make_problems


def read_all(sources: Iterable[Problems]) -> list[Problem]:
    """All problems of several sources, one after the other. Raises BadInput."""
    problems: dict[str, Problem] = {}
    for source in sources:
        for problem in read_problems(source):
            if problems.setdefault(problem.problem_id, problem) is not problem:
                other = problems[problem.problem_id].source
                raise BadInput(f"{problem.source}: problem id {problem.problem_id!r} is also in {other}; "
                               f"set problems.id_column of one to another column")  # fmt: skip
    return list(problems.values())


def read_problems(source: Problems) -> list[Problem]:
    """All problems of a source, in its order, each with an id of its own. Raises BadInput."""
    if isinstance(source, TinyProblems):
        try:
            made = make_problems(source.family, source.num_problems, source.difficulty, source.seed)
            return [dataclasses.replace(problem, subject=source.subject) for problem in made]
        except ValueError as error:
            raise BadInput(f"problems.difficulty: {error}; widen it or ask for fewer") from error
    if isinstance(source, BenchmarkProblems):
        source = _known(source)
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


def data_sets(source: Problems) -> set[str]:
    """What a source's rows are from: a tiny family, a file, or a data set of the hub, whatever its split. A benchmark that
    is read from a file is from that and from where it is published."""
    if isinstance(source, TinyProblems):
        return {f"tiny {source.family}"}
    paths = [source.path, benchmark(source.name).PROBLEMS["path"] if isinstance(source, BenchmarkProblems) else None]
    return {path.partition(":")[0] if HUB_DATA.fullmatch(path) else path for path in paths if path}


def _known(source: BenchmarkProblems) -> FileProblems:
    """A benchmark's own knobs, with what the recipe says in their place."""
    if source.name not in NAMES:
        raise BadInput(f"problems.name: there is no benchmark {source.name!r}; there are {', '.join(NAMES)}")
    own = {name: value for name, value in source if name in {"path", "limit", "since", "until", "subject"} and value}
    return FileProblems(**benchmark(source.name).PROBLEMS | own)


def _file_problems(source: FileProblems) -> Iterator[tuple[str, Problem]]:
    seen: Counter[str] = Counter()
    named = (source.id_column or "problem_id", source.prompt_column, source.answer_column, source.choices_column)
    columns = [*filter(None, named), *source.options_columns, "test", "entry_point", "metadata"]
    columns += [source.date_column] if source.date_column else []
    number = 0
    for where, row in read_rows(source.path, columns):
        if not _is_in_window(source, row, where):
            continue
        if number == source.limit:
            return
        number += 1
        yield where, _problem(source, row, where, seen)


def _is_in_window(source: FileProblems, row: dict[str, Any], where: str) -> bool:
    """Dates are compared as text, which the longer of two may begin with."""
    if source.date_column is None:
        return True
    date = as_text(column(row, source.date_column, where, "problems.date_column"), where, source.date_column)
    return date >= source.since and (not source.until or date < source.until)


def _problem(source: FileProblems, row: dict[str, Any], where: str, seen: Counter[str]) -> Problem:
    prompt = prompt_of(column(row, source.prompt_column, where, "problems.prompt_column"), where, source.prompt_column)
    problem_id = _problem_id(source, row, where, prompt, seen)
    options = _options(source, row, where)
    answer, choices = _answer(source, row, where, options), options[0] if options else []
    if not answer.strip() and not source.skip_missing:
        empty = f"there is no answer in `{source.answer_column}`"
        raise BadInput(f"{where}: {empty}; fill it in, or set problems.skip_missing: true to leave such rows out")
    if choices and answer.strip():
        names = [letter(index) for index in range(len(choices))]
        if answer not in names and (len(answer) == 1 or answer not in choices):
            raise BadInput(f"{where}: the answer {answer!r:.60} is neither a letter, an index nor a text of the options")
        if source.choices_seed is not None:
            choices, answer = shuffled(choices, answer, source.choices_seed, problem_id)
        prompt = shown(prompt, choices)
    if source.instruction:
        prompt = f"{prompt.rstrip()}\n\n{source.instruction}"
    return Problem(
        problem_id=problem_id,
        prompt=prompt,
        answer=answer,
        verifier=source.verifier,
        source=source.path,
        choices=choices,
        subject=source.subject,
        dropped_because=None if answer.strip() else "missing_answer",
    )


def _problem_id(source: FileProblems, row: dict[str, Any], where: str, prompt: str, seen: Counter[str]) -> str:
    """The row's own id, else a hash of what is asked; rows that ask the same get numbers, and are told apart later."""
    id_column = source.id_column or (None if is_missing(row.get("problem_id")) else "problem_id")
    if id_column:
        return as_text(column(row, id_column, where, "problems.id_column"), where, id_column)
    # MMLU asks "which of the following" with ever other options.
    hashed = stable_hash(prompt, cell(row, source.choices_column)) if source.choices_column else stable_hash(prompt)
    seen[hashed] += 1
    return hashed if seen[hashed] == 1 or source.one_row_per == "rollout" else f"{hashed}-{seen[hashed]}"


def _answer(source: FileProblems, row: dict[str, Any], where: str, options: tuple[list[str], list[str]] | None) -> str:
    """The reference; '' where it is missing."""
    if source.verifier == "code" and source.answer_column not in row and {"test", "entry_point"} <= row.keys():
        names = {"test": "test", "entry_point": "entry_point", "prompt": source.prompt_column}
        return json.dumps({key: as_text(column(row, name, where), where, name) for key, name in names.items()})
    if source.options_columns:
        return letter(0)
    value = present(row, source.answer_column, where, "problems.answer_column")
    if is_missing(value):
        return ""
    answer = as_answer(value, source.verifier, options, where=where, name=source.answer_column)
    if source.answer_after is not None:
        if source.answer_after not in answer:
            raise BadInput(f"{where}: no {source.answer_after!r} in `{source.answer_column}`; set problems.answer_after")
        answer = answer.rsplit(source.answer_after, 1)[1].strip()
    return with_function_name(answer, row) if source.verifier == "code" else answer


def _options(source: FileProblems, row: dict[str, Any], where: str) -> tuple[list[str], list[str]] | None:
    if source.options_columns:
        texts = [
            as_text(column(row, name, where, "problems.options_columns"), where, name) for name in source.options_columns
        ]
        return texts, [letter(index) for index in range(len(texts))]
    if source.choices_column is None:
        return None
    options = read_options(column(row, source.choices_column, where, "problems.choices_column"))
    if options is None:
        raise BadInput(f"{where}: `{source.choices_column}` is not a list of 1 to 26 options; make it one")
    return options
