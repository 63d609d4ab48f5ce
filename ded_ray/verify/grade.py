"""Verdicts and rewards for the rows of a user's file of completions: the worker, and what it counted."""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ded_ray.files.values import read_options
from ded_ray.models.finish_reason import finish_reason_of
from ded_ray.recipe import Grade
from ded_ray.records import Group, Problem, Rollout, schema_of, stable_hash
from ded_ray.verify.grade_input import REPLACED, as_label
from ded_ray.verify.reward.total import reward_group
from ded_ray.verify.worker import JudgeActor, JudgeWorker, VerifyWorker

NUM_SLOWEST = 5


@dataclass
class Summary:
    """What was graded, counted as it passed."""

    statuses: Counter[str] = field(default_factory=Counter)
    isolation: Counter[str] = field(default_factory=Counter)
    labels: Counter[tuple[str, bool]] = field(default_factory=Counter)  # by status and label
    judged: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # by the rules' status, the judge's, the final
    slowest: list[tuple[float, int, str]] = field(default_factory=list)  # seconds, row of the output (from 1), status
    num_missing: int = 0  # rows without an answer or without a completion

    def add(self, batch: pa.Table, label: str) -> None:
        statuses, first = batch["status"].to_pylist(), self.statuses.total() + 1
        self.statuses.update(statuses)
        self.num_missing += pc.sum(pc.or_(pc.is_null(batch["answer"]), pc.is_null(batch["completion"]))).as_py() or 0
        timed = zip(batch["seconds"].to_pylist(), range(first, first + len(statuses)), statuses, strict=True)
        self.slowest = heapq.nlargest(NUM_SLOWEST, [*self.slowest, *timed])
        if label:
            self.labels.update(zip(statuses, map(as_label, batch[label].to_pylist()), strict=True))  # type: ignore[arg-type]
        if "isolation" in batch.column_names:
            self.isolation.update(walls for walls in batch["isolation"].to_pylist() if walls)
        if "judge_status" in batch.column_names:
            asked = zip(batch["rule_status"].to_pylist(), batch["judge_status"].to_pylist(), statuses, strict=True)
            self.judged.update(three for three in asked if three[1] is not None)


def added_columns(config: Grade) -> tuple[str, ...]:
    """The columns that grading adds to every row."""
    isolation = ("isolation",) if config.verifier == "code" else ()
    judge = ("rule_status", "judge_status") if config.verify.judge else ()
    return ("status", "reward", "extracted", "seconds", *isolation, *judge)


class GradeWorker:
    """One actor that grades batches of plain rows, each as a group of one rollout."""

    def __init__(self, config: Grade, judge: JudgeActor | None = None) -> None:
        self._config, self._verify_worker = config, VerifyWorker(config.verify)
        self._judge_worker = JudgeWorker(judge) if judge else None

    def close(self) -> None:
        """End the verifier's children."""
        self._verify_worker.close()

    def __call__(self, batch: pa.Table) -> pa.Table:
        read = [*REPLACED, "choices", "finish_reason", *(["num_tokens"] if self._config.rewards.needs_token_counts else [])]
        rows = batch.select([name for name in read if name in batch.column_names]).to_pylist()
        groups = [self._verify_worker.verify_group(self._group(row)) for row in rows]
        if self._judge_worker is not None:
            self._judge_worker(groups)
        graded = [reward_group(group, self._config.rewards).rollouts[0] for group in groups]
        for name in added_columns(self._config):
            values = [getattr(rollout, name) for rollout in graded]
            batch = batch.append_column(name, pa.array(values, schema_of(Rollout).field(name).type))
        return batch

    def _group(self, row: dict[str, Any]) -> Group:
        group_id = stable_hash(row["prompt"], row["answer"], row["completion"])
        options = read_options(row["choices"]) if self._config.verifier == "choice" and row.get("choices") else None
        problem = Problem(
            problem_id=group_id,
            prompt=row["prompt"],
            answer=row["answer"] or "",
            verifier=self._config.verifier,
            choices=options[0] if options else [],
        )
        reason = finish_reason_of(row["finish_reason"]) if "finish_reason" in row else "stop"
        if row["answer"] is None or row["completion"] is None:
            reason = "other"  # nothing to compare, or nothing to compare with
        rollout = Rollout(index=0, completion=row["completion"] or "", num_tokens=row.get("num_tokens", 0),
                          finish_reason=reason, seed=0)  # fmt: skip
        return Group.of(problem, group_id, "", [rollout])
