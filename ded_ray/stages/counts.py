"""What a folder of problems or groups holds, counted for the ledger: a batch at a time, without reading its texts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ded_ray.files.folders import dataset
from ded_ray.records import Group, Problem, schema_of, to_table
from ded_ray.run import Stage
from ded_ray.verify.judge import agreement


def count_problems(folder: Path) -> Counter[str | None]:
    """Number of problems by their reason to be dropped; None: kept."""
    batches = dataset(folder, schema_of(Problem)).to_batches(columns=["dropped_because"])
    return sum((Counter(batch[0].to_pylist()) for batch in batches), Counter())


def rollouts_of_folder(folder: Path) -> Iterator[pa.ListArray]:
    """The rollouts of all groups of a folder, as the column of one batch after another."""
    for batch in dataset(folder, schema_of(Group)).to_batches(columns=["rollouts"]):
        yield batch["rollouts"]


def rollouts_of_groups(groups: list[Group]) -> Iterator[pa.ListArray]:
    """The same of groups that are in memory."""
    yield from to_table(groups, Group)["rollouts"].chunks


def count_rollouts(columns: Iterable[pa.ListArray]) -> tuple[int, Counter[str | None], dict[str, Any]]:
    """(number of groups; rollouts by their reason to be dropped, None: kept; what the ledger tells of their verdicts).

    The last: num_rollouts, num_tokens, statuses; where they occur isolation (walls around programs), judge (how far it
    agreed) and effective_examples (the effective sample size of the kept ones' weights).
    """
    num_groups, num_tokens, weight_squares = 0, 0, np.zeros(2)
    statuses, dropped, walls, judged = Counter[str](), Counter[str | None](), Counter[str](), Counter[tuple[str, str, str]]()
    for column in columns:
        num_groups += len(column)
        rollouts = pc.list_flatten(column)
        weight_squares += _weights_kept(rollouts)
        status, rule, judge = (rollouts.field(name).to_pylist() for name in ("status", "rule_status", "judge_status"))
        num_tokens += pc.sum(rollouts.field("num_tokens")).as_py() or 0
        statuses.update(status)
        dropped.update(rollouts.field("dropped_because").to_pylist())
        walls.update(name for name in rollouts.field("isolation").to_pylist() if name)
        judged.update(three for three in zip(rule, judge, status, strict=True) if three[1] is not None)
    counts: dict[str, Any] = {"num_rollouts": statuses.total(), "num_tokens": num_tokens, "statuses": dict(statuses)}
    if walls:
        counts["isolation"] = dict(walls)
    if agreed := agreement(judged):
        counts["judge"] = agreed
    if weight_squares[1]:
        counts["effective_examples"] = round(weight_squares[0] ** 2 / weight_squares[1], 1)
    return num_groups, dropped, counts


def seal_marked(stage: Stage, unit: str, rows_in: int, reasons: Counter[str | None], **more: Any) -> None:
    """Seal a stage whose rows carry their own reason to be dropped; no reason means kept."""
    dropped = Counter({reason: count for reason, count in reasons.items() if reason is not None})
    stage.seal(unit, rows_in, dropped, reasons[None], **more)


def _weights_kept(rollouts: pa.StructArray) -> np.ndarray:
    """(sum of |w|, sum of w^2) over the kept: what the effective sample size is made of (Kish)."""
    kept = pc.is_null(rollouts.field("dropped_because"))
    weights = np.abs(rollouts.field("weight").filter(kept).drop_null().to_numpy(zero_copy_only=False))
    return np.array([weights.sum(), (weights**2).sum()])
