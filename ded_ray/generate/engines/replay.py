"""Replays rollouts that the user already has, from a JSONL or Parquet file (API dumps, OpenR1-style data sets)."""

from collections.abc import Iterator
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.files.user import column, read_rows
from ded_ray.generate.engine import Request
from ded_ray.recipe import ReplayEngine
from ded_ray.records import Problem, Rollout


def read_completions(engine: ReplayEngine) -> dict[str, list[tuple[str, bool]]]:
    """(completion, was it cut off) by problem id, or by prompt where the recipe says so. Raises BadInput."""
    found: dict[str, list[tuple[str, bool]]] = {}
    key_column = engine.problem_id_column or engine.prompt_column
    for where, row in read_rows(engine.path):
        key = str(column(row, key_column, where, "teacher.engine.problem_id_column"))
        value = column(row, engine.completion_column, where, "teacher.engine.completion_column")
        texts, reasons = _texts(value), None
        if engine.finish_reason_column:
            reasons = column(row, engine.finish_reason_column, where, "teacher.engine.finish_reason_column")
        reason_of_each = reasons if isinstance(reasons, list) else [reasons] * len(texts)
        if len(reason_of_each) != len(texts):
            counts = f"{len(texts)} completions but {len(reason_of_each)} of `{engine.finish_reason_column}`"
            raise BadInput(f"{where}: {counts}; give one for each")
        found.setdefault(key, []).extend((t, r == "length") for t, r in zip(texts, reason_of_each, strict=True))
    return found


def check_covers(engine: ReplayEngine, problems: list[Problem]) -> None:
    """Raise BadInput when the file cannot be used, or has no rollout for one of the problems."""
    completions = read_completions(engine)
    for problem in problems:
        if (problem.problem_id if engine.problem_id_column else problem.prompt) not in completions:
            raise BadInput(f"{engine.path}: no rollout for problem {problem.problem_id!r}; remove the problem, or set "
                           f"teacher.engine.problem_id_column (null: match by prompt)")  # fmt: skip


def _texts(value: Any) -> list[str]:
    """One text, several texts, or one conversation whose last message is the completion."""
    if isinstance(value, list):
        if value and isinstance(value[-1], dict):
            return [str(value[-1].get("content", ""))]
        return [text for item in value for text in _texts(item)]
    return [] if value is None else [str(value)]


class ReplayFile:
    """An engine whose answers were paid for before. See `check_covers`."""

    def __init__(self, engine: ReplayEngine) -> None:
        self._completions = read_completions(engine)
        self._by_id = engine.problem_id_column is not None

    def generate(self, requests: list[Request]) -> Iterator[tuple[Request, list[Rollout]]]:
        for request in requests:
            yield request, self._rollouts(request.problem, request.sampling.num_rollouts)

    def _rollouts(self, problem: Problem | None, num_rollouts: int) -> list[Rollout]:
        assert problem is not None
        completions = self._completions.get(problem.problem_id if self._by_id else problem.prompt, [])
        return [
            Rollout(index=i, completion=text, num_tokens=0, finish_reason="length" if cut_off else "stop", seed=0)
            for i, (text, cut_off) in enumerate(completions[:num_rollouts])
        ]
