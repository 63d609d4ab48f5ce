"""`ded-ray grade`: verdicts and rewards on a user's file of completions, streamed through the verifier actors."""

import heapq
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ded_ray.knobs import BadInput, least_and_most
from ded_ray.machine import start_ray
from ded_ray.recipe import Grade
from ded_ray.records import Group, Problem, Rollout, schema_of, stable_hash
from ded_ray.user_files import read_options
from ded_ray.verify.grade_input import NEEDED, ROWS_PER_PART, Checks, as_label, checked_parts
from ded_ray.verify.plan import Answerer, Judging, Verifying, actor_pool
from ded_ray.verify.reward.total import reward_group

Judged = tuple[Callable[[], Answerer] | None, dict[str, float]]
"""What makes the judge's answerer, and what its engine needs of Ray."""

READ = ("prompt", "answer", "completion", "choices", "finish_reason", "num_tokens")
NUM_SLOWEST = 5


@dataclass
class Summary:
    """What was graded, counted as it passed."""

    statuses: Counter[str] = field(default_factory=Counter)
    isolation: Counter[str] = field(default_factory=Counter)
    labels: Counter[tuple[str, bool]] = field(default_factory=Counter)  # by status and label
    judged: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # by the rules' status, the judge's, the final
    slowest: list[tuple[float, int, str]] = field(default_factory=list)  # seconds, row (from 1), status

    def add(self, batch: pa.Table, label: str) -> None:
        statuses, first = batch["status"].to_pylist(), self.statuses.total() + 1
        self.statuses.update(statuses)
        timed = zip(batch["seconds"].to_pylist(), range(first, first + len(statuses)), statuses, strict=True)
        self.slowest = heapq.nlargest(NUM_SLOWEST, [*self.slowest, *timed])
        if label:
            self.labels.update(zip(statuses, map(as_label, batch[label].to_pylist()), strict=True))  # type: ignore[arg-type]
        if "isolation" in batch.column_names:
            self.isolation.update(walls for walls in batch["isolation"].to_pylist() if walls)
        if "judge_status" in batch.column_names:
            asked = zip(batch["rule_status"].to_pylist(), batch["judge_status"].to_pylist(), statuses, strict=True)
            self.judged.update(three for three in asked if three[1] is not None)


def added_columns(knobs: Grade) -> tuple[str, ...]:
    """The columns that grading adds to every row."""
    isolation = ("isolation",) if knobs.verifier == "code" else ()
    judge = ("rule_status", "judge_status") if knobs.verify.judge else ()
    return ("status", "reward", "extracted", "seconds", *isolation, *judge)


class Grading:
    """One actor that grades batches of plain rows, each as a group of one rollout."""

    def __init__(self, knobs: Grade, make_answerer: Callable[[], Answerer] | None) -> None:
        self._knobs, self._verifying = knobs, Verifying(knobs.verify)
        self._judging: Judging | None = None
        if knobs.verify.judge and make_answerer:
            self._judging = Judging(knobs.verify.judge, make_answerer)

    def __call__(self, batch: pa.Table) -> pa.Table:
        rows = batch.select([name for name in READ if name in batch.column_names]).to_pylist()
        groups = [self._verifying.verify_group(self._group(row)) for row in rows]
        if self._judging is not None:
            self._judging.judge_groups(groups)
        graded = [reward_group(group, self._knobs.rewards).rollouts[0] for group in groups]
        for name in added_columns(self._knobs):
            values = [getattr(rollout, name) for rollout in graded]
            batch = batch.append_column(name, pa.array(values, schema_of(Rollout).field(name).type))
        return batch

    def _group(self, row: dict[str, Any]) -> Group:
        known_by = stable_hash(row["prompt"], row["answer"], row["completion"])
        options = read_options(row["choices"]) if row.get("choices") else None
        problem = Problem(
            problem_id=known_by,
            prompt=str(row["prompt"]),
            answer=row["answer"],
            verifier=self._knobs.verifier,
            choices=options[0] if options else [],
        )
        cut_off = row.get("finish_reason") == "length"
        rollout = Rollout(index=0, completion=row["completion"], num_tokens=int(row.get("num_tokens") or 0),
                          finish_reason="length" if cut_off else "stop", seed=0)  # fmt: skip
        return Group.of(problem, known_by, "", [rollout])


def grade_file(
    path: Path,
    out: Path,
    knobs: Grade,
    label: str = "",
    judge_of: Callable[[], AbstractContextManager[Judged]] = lambda: nullcontext((None, {})),
) -> Summary:
    """Grade every row of `path` into the Parquet file `out`, in order and in bounded memory.

    `out` appears only when it is whole. `label` is a column of known verdicts to compare with. A judge answers
    through what `judge_of` makes once Ray is there, in the same actors, which then need its resources. Raises BadInput for
    what cannot be used.
    """
    if out.suffix != ".parquet":
        raise BadInput(f"{out}: --out must name a .parquet file")
    if not out.parent.is_dir():
        raise BadInput(f"{out}: there is no folder {out.parent}; make it first")
    needed = (*NEEDED, "num_tokens") if knobs.rewards.needs_token_counts else NEEDED
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".grade-") as folder:
        num_parts = checked_parts(Checks(path, knobs.verifier, needed, added_columns(knobs), label), Path(folder))
        judge = getattr(knobs.verify.judge, "engine", knobs.verify)
        num_cpus = max(knobs.verify.num_cpus, getattr(judge, "num_cpus", 0.5))
        start_ray(num_cpus=least_and_most(knobs.verify.workers)[1] * num_cpus + 2)
        import ray
        from ray.data import DataContext

        DataContext.get_current().execution_options.preserve_order = True
        with judge_of() as (make_answerer, resources):
            graded = ray.data.read_parquet(folder, override_num_blocks=num_parts).map_batches(
                Grading,
                fn_constructor_args=(knobs, make_answerer),
                batch_size=ROWS_PER_PART,
                batch_format="pyarrow",
                compute=actor_pool(knobs.verify.workers),
                **(resources or {"num_cpus": knobs.verify.num_cpus}),
            )
            summary = Summary()
            temporary = Path(folder) / ".graded.parquet"
            writer: pq.ParquetWriter | None = None
            for batch in graded.iter_batches(batch_size=ROWS_PER_PART, batch_format="pyarrow"):
                writer = writer or pq.ParquetWriter(temporary, batch.schema)
                writer.write_table(batch)
                summary.add(batch, label)
            assert writer is not None
            writer.close()
        temporary.replace(out)
    return summary
