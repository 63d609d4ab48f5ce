"""Replays rollouts that the user already has (API dumps, OpenR1-style data sets)."""

from collections.abc import Iterator
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.files.conversations import completions, prompt_of
from ded_ray.files.user import read_rows
from ded_ray.files.values import as_text, column, each_sample, present
from ded_ray.generate.engine import Request
from ded_ray.models.finish_reason import finish_reason_of
from ded_ray.recipe import ReplayEngine
from ded_ray.records import FinishReason, Problem, Rollout

Replayed = tuple[str, FinishReason]
"""(completion, why it ended)"""


def read_completions(engine: ReplayEngine) -> dict[str, list[Replayed]]:
    """Rollouts by problem id, or by prompt where the recipe says so. Raises BadInput."""
    replayed: dict[str, list[Replayed]] = {}
    key_column = engine.problem_id_column or engine.prompt_column
    columns = [key_column, engine.completion_column, *filter(None, [engine.finish_reason_column])]
    for where, row in read_rows(engine.path, columns):
        value = column(row, key_column, where, "teacher.engine.problem_id_column")
        key = as_text(value, where, key_column) if engine.problem_id_column else prompt_of(value, where, key_column)
        replayed.setdefault(key, []).extend(_rollouts(engine, row, where))
    return replayed


def _rollouts(engine: ReplayEngine, row: dict[str, Any], where: str) -> list[Replayed]:
    """What one row holds. A completion that is null never came: its reason is `other`, whatever the row says."""
    value = present(row, engine.completion_column, where, "teacher.engine.completion_column")
    texts, reasons = completions(value, where, engine.completion_column), list[Any]()
    if engine.finish_reason_column:
        reason = present(row, engine.finish_reason_column, where, "teacher.engine.finish_reason_column")
        reasons = each_sample(reason, len(texts), where, engine.finish_reason_column)
    ends = [finish_reason_of(reason) for reason in reasons] or ["stop"] * len(texts)
    return [(text or "", "other" if text is None else end) for text, end in zip(texts, ends, strict=True)]


def check_covers(engine: ReplayEngine, problems: list[Problem]) -> None:
    """Raise BadInput when the file cannot be used, or has no rollout for one of the problems."""
    replayed = read_completions(engine)
    for problem in problems:
        if (problem.problem_id if engine.problem_id_column else problem.prompt) not in replayed:
            raise BadInput(f"{engine.path}: no rollout for problem {problem.problem_id!r}; remove the problem, or set "
                           f"teacher.engine.problem_id_column (null: match by prompt)")  # fmt: skip


class ReplayFile:
    """An engine whose answers were paid for before. See `check_covers`."""

    def __init__(self, engine: ReplayEngine) -> None:
        self._replayed = read_completions(engine)
        self._by_id = engine.problem_id_column is not None

    def generate(self, requests: list[Request]) -> Iterator[tuple[Request, list[Rollout]]]:
        for request in requests:
            yield request, self._rollouts(request.problem, request.sampling.num_rollouts)

    def _rollouts(self, problem: Problem | None, num_rollouts: int) -> list[Rollout]:
        assert problem is not None
        replayed = self._replayed.get(problem.problem_id if self._by_id else problem.prompt, [])
        return [
            Rollout(index=i, completion=text, num_tokens=0, finish_reason=reason, seed=0)
            for i, (text, reason) in enumerate(replayed[:num_rollouts])
        ]
