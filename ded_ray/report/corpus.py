"""What curation made of a run's answers, in numbers: read a column at a time, for runs of any size."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations, islice
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as pads

from ded_ray.records import Group, read_records, schema_of
from ded_ray.report.side_by_side import mixed_first
from ded_ray.run import MANIFEST, Run

NUM_SAMPLES, GROUPS_LOOKED_AT = 12, 2000
"""Groups in the sample browser, and among how many they are looked for."""

GROUPS_COMPARED = 100
"""Groups of which the distances between answers are measured."""


@dataclass
class Corpus:
    """Of the last stage that says what is kept; empty where nothing has been curated yet."""

    num_groups: int = 0
    rewards: np.ndarray = field(default_factory=lambda: np.empty(0))
    advantages: np.ndarray = field(default_factory=lambda: np.empty(0))
    weights: np.ndarray = field(default_factory=lambda: np.empty(0))  # of what is kept
    samples: list[Group] = field(default_factory=list)
    spread_before: float | None = None
    """Mean distance in words between two right answers to a question, over the longer one's length; in [0, 1]."""
    spread_after: float | None = None
    """The same among what was kept."""


def corpus_of(run: Run) -> Corpus:
    folder = next((run.folder / name for name in ("mixed", "curated") if (run.folder / name / MANIFEST).exists()), None)
    folder = folder or run.folder / "curated"
    if not any(folder.glob("*.parquet")):
        return Corpus()
    found, columns = Corpus(), list[dict[str, np.ndarray]]()
    for batch in pads.dataset(folder, schema=schema_of(Group), format="parquet").to_batches(columns=["rollouts"]):
        found.num_groups += len(batch)
        rollouts = pc.list_flatten(batch["rollouts"])
        kept = pc.is_null(rollouts.field("dropped_because"))
        values = {name: rollouts.field(name) for name in ("reward", "advantage")}
        values["weight"] = rollouts.field("weight").filter(kept)
        columns.append({name: value.drop_null().to_numpy(zero_copy_only=False) for name, value in values.items()})
    found.rewards, found.advantages, found.weights = (
        np.concatenate([np.empty(0), *[each[name] for each in columns]]) for name in ("reward", "advantage", "weight")
    )
    some = list(islice(read_records(folder, Group), GROUPS_LOOKED_AT))
    found.samples = mixed_first(some, NUM_SAMPLES)
    compared = sorted(some, key=lambda group: group.group_id)[:GROUPS_COMPARED]
    right = [[r.completion.split() for r in group.rollouts if r.status == "correct"] for group in compared]
    kept_ones = [[r.completion.split() for r in group.rollouts if r.dropped_because is None] for group in compared]
    found.spread_before, found.spread_after = spread(right), spread(kept_ones)
    return found


def spread(groups: list[list[list[str]]]) -> float | None:
    """Mean over groups of the mean distance between two of their texts (words), over the longer one's length; None where no
    group has two."""
    from rapidfuzz.distance import Levenshtein

    means = [
        fmean(Levenshtein.normalized_distance(a, b) for a, b in combinations(texts, 2)) for texts in groups if len(texts) > 1
    ]
    return fmean(means) if means else None


def contamination(run: Run) -> list[dict[str, Any]]:
    """The questions that were dropped because of a benchmark, with the words that gave them away."""
    path = run.folder / "problems" / "_contamination.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []


def teacher_choice(run: Run) -> dict[str, Any] | None:
    """teachers.json, and under `rows_known` which of its columns hold anything."""
    path = run.folder / "teachers.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    known = {key for row in found["rows"] for key, value in row.items() if value is not None}
    return found | {"rows_known": defaultdict(bool, dict.fromkeys(known, True))}


def costs(ledger: list[dict[str, Any]]) -> list[str]:
    """What the answers cost for each example that is trained on, in sentences."""
    by_stage = {line["stage"]: line for line in ledger}
    trained = by_stage.get("checkpoint", {}).get("rows_kept")
    answered = by_stage.get("teacher_rollouts")
    if not trained or not answered:
        return []
    said = [f"{answered['num_tokens'] / trained:.0f} teacher tokens and {answered['seconds'] / trained:.2f} s of answering "
            f"for each of {trained} trained examples"]  # fmt: skip
    if fixed := answered.get("num_rollouts_if_fixed"):
        said.append(
            f"adaptive sampling made {answered['num_rollouts']} rollouts where a fixed number would have made {fixed}"
        )
    worth = by_stage.get("curated", {}).get("effective_examples")
    if worth:
        said.append(f"their weights are worth {worth:.0f} equal ones (effective sample size)")
    return said
