"""Ray Data plans over groups: how they begin and end, and one stage of them, where rows become objects.

    map_groups(groups, VerifyWorker, (config,), batch_size=16, compute=actor_pool(config.workers), num_cpus=0.5)

With `save_to` the records are also written as they pass.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray.data
from ray.data import ActorPoolStrategy, Dataset

from ded_ray.files.folders import arrow_filesystem, plain_name
from ded_ray.files.parts import write_part
from ded_ray.recipe.config import least_and_most
from ded_ray.records import Group, Record, to_table

BATCHES_IN_FLIGHT = 2
"""Per actor. Ray Data holds back what comes before when more would wait."""


def read_parquet(paths: Path | list[Path], **options: Any) -> Dataset:
    """A folder of Parquet files, or these files, here or in a store. Lazy."""
    some = paths[0] if isinstance(paths, list) else paths
    names = [plain_name(path) for path in paths] if isinstance(paths, list) else plain_name(paths)
    return ray.data.read_parquet(names, filesystem=arrow_filesystem(some), **options)


def write_parquet(rows: Dataset, folder: Path) -> None:
    """Run the plan and write what it makes to a folder, here or in a store."""
    rows.write_parquet(plain_name(folder), filesystem=arrow_filesystem(folder))


def actor_pool(workers: int | tuple[int, int]) -> ActorPoolStrategy:
    """A fixed number of actors, or as many between two numbers as Ray Data finds work and room for."""
    smallest, largest = least_and_most(workers)
    return ActorPoolStrategy(
        min_size=smallest, max_size=largest, initial_size=smallest, max_tasks_in_flight_per_actor=BATCHES_IN_FLIGHT
    )


def map_groups(
    groups: Dataset,
    function: Callable[..., Any],
    arguments: Sequence[Any] = (),
    *,
    record: type[Record] = Group,
    save_to: Path | None = None,
    **options: Any,
) -> Dataset:
    """Groups -> records. Lazy.

    `function` takes a list of groups, then `arguments`, and returns a list of `record`; or it is a class whose
    instances, made of `arguments` once per actor, are called with a list of groups: then `options` need a `compute`.
    With `save_to` every batch is also written there as it passes. `options` are those of Ray Data's map_batches.
    """

    def as_table(made: Sequence[Record]) -> pa.Table:
        table = to_table(made, record)
        if save_to is not None:
            write_part(save_to, table)
        return table

    class Worker:
        def __init__(self) -> None:
            self._worker = function(*arguments)

        def __call__(self, batch: pa.Table) -> pa.Table:
            return as_table(self._worker(_groups_of(batch)))

    def task(batch: pa.Table) -> pa.Table:
        return as_table(function(_groups_of(batch), *arguments))

    rows: Any = Worker if isinstance(function, type) else task
    rows.__name__ = rows.__qualname__ = function.__name__  # Ray names operators and actors after it
    return groups.map_batches(rows, batch_format="pyarrow", **options)


def _groups_of(batch: pa.Table) -> list[Group]:
    return [Group.from_row(row) for row in batch.to_pylist()]
