"""Ray Data entry point: problems become groups in a pool of engine actors, as one lazy stage.

A group is known by an id that says exactly what made it, and is on disk before it is handed on; so a rollout that was
paid for is never made again. Only ids are ever in the driver's memory, 8 bytes each.

    job = GenerateJob(recipe.student, recipe.seed, folder, quarantine)
    monitor = start_actor(EngineMonitor, quarantine, max_deaths(recipe.student.engine))
    with generate(job, problems_folder, monitor) as groups:
        groups.write_parquet(out)
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from ded_ray.errors import Stopped
from ded_ray.files.folders import dataset
from ded_ray.generate.identity import KEPT, GenerateJob, as_numbers, ids_of, ids_of_rows
from ded_ray.generate.load_engine import key_of
from ded_ray.generate.monitor import read_quarantine
from ded_ray.generate.store import CLOCKS_APART_SECONDS, compact
from ded_ray.generate.worker import GenerateWorker, StopRule
from ded_ray.recipe import EngineConfig, OpenAIEngine, ReplayEngine, ScriptedEngine, TransformersEngine, VllmEngine
from ded_ray.records import Group, Problem, schema_of, to_table
from ded_ray.runtime.map_groups import map_groups, read_parquet
from ded_ray.runtime.needs import SELECT, engine_needs

PROBLEMS_PER_TASK = 20_000
"""Of those that look which problems are still to be asked. Ray Data would start dozens, however few the problems are."""

BATCHES_WAITING = 2
"""Batches that wait for each engine, so that it never waits for Ray."""


@contextmanager
def generate(
    job: GenerateJob, problems: Path, monitor: Any, make_stop_rule: Callable[[], StopRule] | None = None
) -> Iterator[Dataset]:
    """One group for each problem of a folder of Parquet files that was not dropped. Lazy, while the block runs.

    Groups that `job.folder` holds are read, those in quarantine left out, the others generated and saved there.
    `monitor` is the handle of an EngineMonitor; `make_stop_rule` is for adaptive sampling, see GenerateWorker.
    Raises Stopped for a run that cannot go on: a cap is reached, an endpoint refuses the key, engines die.
    """
    stored = compact(job.folder, quiet_seconds=CLOCKS_APART_SECONDS)
    wanted = ids_of(problems, job.identity)
    is_stored = stored.holds(wanted)
    missing = wanted[~is_stored & ~np.isin(wanted, as_numbers(list(read_quarantine(job.quarantine))))]
    num_found = len(wanted) - len(missing)
    if len(missing):
        monitor.expect.remote(job.generator.model)
    monitor.add.remote(done=num_found, found=num_found)
    placed = list[PlacementGroup]()
    parts = []
    if is_stored.any():
        parts.append(_read_stored(job, problems, stored.files_of(wanted[is_stored])))
    if len(missing):
        num_tasks = math.ceil(len(wanted) / PROBLEMS_PER_TASK)
        generated = _generate_missing(job, problems, missing, num_tasks).map_batches(
            GenerateWorker,
            fn_constructor_args=(job, monitor, key_of(job.generator)),
            fn_constructor_kwargs={"make_stop_rule": make_stop_rule},
            **_engine_pool(job, placed),
        )
        parts.append(generated)
    if not parts:  # every prompt is in quarantine
        parts.append(ray.data.from_arrow(to_table([], Group)))
    first, *others = parts
    groups = first.union(*others) if others else first
    try:
        with stopped_by(monitor):
            yield groups
    finally:
        for group in placed:
            remove_placement_group(group)
    compact(job.folder)


@contextmanager
def stopped_by(monitor: Any) -> Iterator[None]:
    """If the plan in this block fails and the monitor was told why, raise that as Stopped."""
    try:
        yield
    except ray.exceptions.RayError as error:
        if why := ray.get(monitor.why_stopped.remote()):
            raise Stopped(why) from error
        raise


def _read_stored(job: GenerateJob, problems: Path, files: list[Path]) -> Dataset:
    """Read saved groups and refresh their problem columns from the current problems (kept in the object store: no join)."""
    current = ray.remote(num_cpus=SELECT.num_cpus)(_indexed).remote(problems, job.identity)
    stored = read_parquet(files)
    return map_groups(stored, refresh_problem_columns, ([current],), **SELECT.resources)


def _indexed(problems: Path, identity: str) -> tuple[np.ndarray, pa.Table]:
    """(sorted group ids, the problems in their order)"""
    table = dataset(problems, schema_of(Problem)).to_table(filter=KEPT)
    ids = ids_of_rows(table, identity)
    order = np.argsort(ids)
    return ids[order], table.take(order)


def refresh_problem_columns(groups: list[Group], current: list[Any]) -> list[Group]:
    """The groups that this run asks for, each with its problem's columns as they are now. `current` holds a reference."""
    ids, problems = ray.get(current[0])
    numbers = as_numbers([group.group_id for group in groups])
    places = np.searchsorted(ids, numbers)
    wanted = np.flatnonzero((places < len(ids)) & (ids[np.minimum(places, len(ids) - 1)] == numbers))
    rows = problems.take(places[wanted]).to_pylist()
    return [
        Group.of(Problem.from_row(row), groups[i].group_id, groups[i].model, groups[i].rollouts)
        for i, row in zip(wanted.tolist(), rows, strict=True)
    ]


def _generate_missing(job: GenerateJob, problems: Path, missing: np.ndarray, num_tasks: int) -> Dataset:
    """The problems that are still to be asked, in blocks of one batch.

    Ray Data hands on what a task made when the task is over: with small blocks a group waits for few others.
    """
    return (
        read_parquet(problems, schema=schema_of(Problem), override_num_blocks=num_tasks)
        .map_batches(
            keep_groups, fn_args=([ray.put(np.sort(missing))], job.identity), batch_format="pyarrow", **SELECT.resources
        )
        .repartition(target_num_rows_per_block=_batch_size(job.generator.engine))
    )


def keep_groups(table: pa.Table, ids: list[Any], identity: str) -> pa.Table:
    """The problems whose groups are among these (a reference to sorted ids)."""
    table = table.filter(KEPT)
    return table.filter(pa.array(np.isin(ids_of_rows(table, identity), ray.get(ids[0])), pa.bool_()))


def _engine_pool(job: GenerateJob, placed: list[PlacementGroup]) -> dict[str, Any]:
    """How the engine actors are started and fed. Placement groups that are made are added to `placed`."""
    engine, needs = job.generator.engine, engine_needs(job.generator.engine)
    at_once = _batches_at_once(job)
    pool = ActorPoolStrategy(
        min_size=needs.least,
        max_size=needs.most,
        initial_size=needs.least,
        max_tasks_in_flight_per_actor=at_once + BATCHES_WAITING,
        max_concurrent_calls_per_actor=at_once,
    )
    return {
        "batch_size": _batch_size(engine),
        "batch_format": "pyarrow",
        "compute": pool,
        "ray_remote_args_fn": _bundles(engine, placed),
        **needs.resources,
    }


def _batch_size(engine: EngineConfig) -> int:
    """Problems per call of an engine."""
    match engine:
        case TransformersEngine() | VllmEngine() | OpenAIEngine() | ScriptedEngine():
            return engine.batch_size
        case ReplayEngine():
            return 64


def _batches_at_once(job: GenerateJob) -> int:
    """How many batches one engine works on at the same time."""
    engine = job.generator.engine
    if isinstance(engine, VllmEngine):
        completions = engine.in_flight * engine.max_num_seqs
        return math.ceil(completions / job.generator.sampling.rounds[0] / engine.batch_size)
    if isinstance(engine, TransformersEngine):
        return 2  # the next problems begin as the last answers of these end
    if not isinstance(engine, OpenAIEngine):
        return 1
    # A batch ends with its slowest answer: the next ones wait in the engine, which asks for `in_flight` problems at once.
    return engine.in_flight if engine.batch_size == 1 else math.ceil(2 * engine.in_flight / engine.batch_size)


def _bundles(engine: EngineConfig, placed: list[PlacementGroup]) -> Any:
    """For an engine over several GPUs: what makes a placement group for each actor, a bundle per shard; else None.

    Tensor parallel shards talk all the time: all bundles are on one node if one has room for them (PACK).
    """
    needs = engine_needs(engine)
    if needs.shards == 1:
        return None

    def in_a_group_of_its_own() -> dict[str, Any]:
        bundles = [{"GPU": 1, "CPU": needs.num_cpus}, *[{"GPU": 1}] * (needs.shards - 1)]
        nodes = [needs.label_selector] * len(bundles) if needs.label_selector else None
        group = placement_group(bundles, strategy="PACK", bundle_label_selector=nodes)
        placed.append(group)
        return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=True)}

    return in_a_group_of_its_own
