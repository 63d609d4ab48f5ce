"""What curation made of a run's answers, in numbers: read a column at a time, for runs of any size."""

import json
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import combinations, islice
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ded_ray.files.folders import dataset
from ded_ray.files.parts import read_records
from ded_ray.records import Group, Rollout, schema_of
from ded_ray.report.samples import mixed_first
from ded_ray.run import Run

NUM_SAMPLES, GROUPS_LOOKED_AT = 12, 2000
"""Groups in the sample browser, and among how many they are looked for."""

GROUPS_COMPARED = 30
"""Groups of which the distances between answers are measured: those with two right answers or more that were kept."""


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
    folder = run.folder / run.curated
    if not any(folder.glob("*.parquet")):
        return Corpus()
    found, columns = Corpus(), list[dict[str, np.ndarray]]()
    for batch in dataset(folder, schema_of(Group)).to_batches(columns=["rollouts"]):
        found.num_groups += len(batch)
        rollouts = pc.list_flatten(batch["rollouts"])
        kept = pc.is_null(rollouts.field("dropped_because"))
        values = {name: rollouts.field(name) for name in ("reward", "advantage")}
        values["weight"] = rollouts.field("weight").filter(kept)
        columns.append({name: value.drop_null().to_numpy(zero_copy_only=False) for name, value in values.items()})
    found.rewards, found.advantages, found.weights = (
        np.concatenate([np.empty(0), *[column[name] for column in columns]]) for name in ("reward", "advantage", "weight")
    )
    found.samples = mixed_first(islice(read_records(folder, Group), GROUPS_LOOKED_AT), NUM_SAMPLES)
    several = (group for group in islice(read_records(folder, Group), GROUPS_LOOKED_AT) if len(_right_and_kept(group)) > 1)
    compared = nsmallest(GROUPS_COMPARED, several, key=lambda group: group.group_id)
    right = [[r.completion.split() for r in group.rollouts if r.status == "correct"] for group in compared]
    kept_ones = [[r.completion.split() for r in _right_and_kept(group)] for group in compared]
    found.spread_before, found.spread_after = spread(right), spread(kept_ones)
    return found


def _right_and_kept(group: Group) -> list[Rollout]:
    return [r for r in group.rollouts if r.status == "correct" and r.dropped_because is None]


def spread(groups: list[list[list[str]]]) -> float | None:
    """Mean over groups of the mean distance between two of their texts (words), over the longer one's length; None if no
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
    """teachers.json, where the recipe's candidates were compared."""
    path = run.folder / "teachers.json"
    found = json.loads(path.read_text()) if path.exists() else {"rows": []}
    of_this_recipe = [row["model"] for row in found["rows"]] == [
        generator.model for generator in run.recipe.teachers.candidates
    ]
    return found if of_this_recipe else None


def costs(ledger: list[dict[str, Any]], last: str) -> list[str]:
    """What the answers cost for each example that is trained on, in sentences; `last` is the stage that says which."""
    by_stage = {line["stage"]: line for line in ledger}
    trained = by_stage.get("checkpoint", {}).get("rows_kept")
    answered = by_stage.get("teacher_rollouts")
    if not trained or not answered:
        return []
    tokens = f"{answered['num_tokens'] / trained:.0f}" if answered["num_tokens"] else "unknown"
    sentences = [f"teacher tokens for each of {trained} trained examples: {tokens}; seconds of answering: "
            f"{answered['seconds'] / trained:.2f}"]  # fmt: skip
    if fixed := answered.get("num_rollouts_if_fixed"):
        sentences.append(
            f"adaptive sampling made {answered['num_rollouts']} rollouts where a fixed number would have made {fixed}"
        )
    worth = by_stage.get(last, {}).get("effective_examples")
    if worth:
        sentences.append(f"their weights are worth {worth:.0f} equal ones (effective sample size)")
    return sentences
