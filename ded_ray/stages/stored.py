"""What the folder of a run holds of the rollouts that a recipe asks for, without writing to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ded_ray.files.folders import arrow_filesystem, plain_name
from ded_ray.generate.identity import GenerateJob
from ded_ray.generate.store import read_journal
from ded_ray.plan.interval import Interval
from ded_ray.recipe import Generator
from ded_ray.records import Problem


@dataclass(frozen=True)
class Stored:
    """Of one model."""

    num_groups: int
    num_rollouts: int
    tokens: Interval | None  # of a completion: the mean of two groups or more, with its 95 % interval


def stored_rollouts(folder: Path, generator: Generator, seed: int, problems: Sequence[Problem]) -> Stored:
    """Those of `folder` that answer these problems, asked in this way. Groups, not rollouts, are the sample: answers to
    one prompt are alike."""
    job = GenerateJob(generator, seed, folder, folder)
    wanted = {job.group_id(problem) for problem in problems}
    found = {name: tokens for name, tokens in _groups(folder) if name in wanted and tokens}
    means = [mean for tokens in found.values() if (mean := fmean(tokens))]  # 0: the engine does not count
    return Stored(len(found), sum(map(len, found.values())), Interval.of_mean(means) if len(means) > 1 else None)


def _groups(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """(group id, tokens of each rollout), without reading what the rollouts say."""
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("part-*.parquet")):
        with pq.ParquetFile(plain_name(path), filesystem=arrow_filesystem(path)) as file:
            for batch in file.iter_batches(columns=["group_id", "rollouts.list.element.num_tokens"]):
                for row in batch.to_pylist():
                    yield row["group_id"], [rollout["num_tokens"] for rollout in row["rollouts"]]
    for path in sorted(folder.glob(".journal-*.jsonl")):
        for group in read_journal(path):
            yield group.group_id, [rollout.num_tokens for rollout in group.rollouts]
