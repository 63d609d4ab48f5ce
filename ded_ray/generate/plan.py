"""The door of the room: problems become groups in a pool of engine actors, as one lazy Ray Data stage.

A group is known by an id that says exactly what made it, and is on disk before it is handed on; so a rollout that was
paid for is never made again. Only ids are ever in the driver's memory, 8 bytes each.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import ray
from ray.data import ActorPoolStrategy, Dataset
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from ded_ray.generate.answering import Answering, group_id
from ded_ray.generate.engine import identity, key_of
from ded_ray.generate.saved import CLOCKS_APART_SECONDS, as_number, settle
from ded_ray.generate.watch import read_quarantine
from ded_ray.knobs import Stopped, least_and_most
from ded_ray.recipe import Engine, Model, OpenAIEngine, ReplayEngine, TransformersEngine, VllmEngine
from ded_ray.records import Group, Problem, schema_of, to_table

BATCHES_WAITING = 2
"""Beside each engine, so that it never waits for Ray."""

KEPT = pads.field("dropped_because").is_null()


@contextmanager
def answering(
    problems: Path,
    who: Model,
    seed: int,
    save_to: Path,
    quarantine: Path,
    watch: Any,
    make_settled: Callable[[], Callable[[Group], bool]] = lambda: lambda _: True,
) -> Iterator[Dataset]:
    """One group for each problem of a folder of Parquet files that was not dropped. Lazy, while the block runs.

    Raises Stopped for a run that cannot go on: a cap is reached, an endpoint refuses the key, engines die.
    Those that `save_to` holds are read, those in quarantine left out, the others generated and saved there. `watch` is
    the handle of a Watch actor; `make_settled` is for adaptive sampling, see Answering.
    """
    made_by = identity(who, seed)
    saved, refused = (
        settle(save_to, quiet_seconds=CLOCKS_APART_SECONDS),
        [as_number(name) for name in read_quarantine(quarantine)],
    )
    wanted = ids_of(problems, made_by)
    found = saved.holds(wanted)
    missing = wanted[~found & ~np.isin(wanted, np.array(refused, np.uint64))]
    if len(missing):
        watch.expect.remote(who.model)
    watch.add.remote(done=len(wanted) - len(missing), found=len(wanted) - len(missing))
    parts, placed = [], list[PlacementGroup]()
    if found.any():
        parts.append(_read(problems, made_by, saved.files_of(wanted[found])))
    if len(missing):
        arguments = (who, seed, save_to, watch, key_of(who), make_settled)
        parts.append(_generate(problems, missing, arguments, placed))
    if not parts:  # all are in quarantine
        parts.append(ray.data.from_arrow(to_table([], Group)))
    try:
        with stopped_by(watch):
            yield parts[0].union(parts[1]) if len(parts) == 2 else parts[0]
    finally:
        for group in placed:
            remove_placement_group(group)
    settle(save_to)


@contextmanager
def stopped_by(watch: Any) -> Iterator[None]:
    """What a Watch was told is why the plan in this block fails, if it was told something: raised as Stopped."""
    try:
        yield
    except ray.exceptions.RayError as error:
        if why := ray.get(watch.why_stopped.remote()):
            raise Stopped(why) from error
        raise


def ids_of(problems: Path, identity: str) -> np.ndarray:
    """The ids (uint64) of the groups of a folder of problems, in its order."""
    batches = pads.dataset(problems, format="parquet").to_batches(columns=["problem_id", "prompt"], filter=KEPT)
    return np.concatenate([np.empty(0, np.uint64), *[_numbers(batch, identity) for batch in batches]])


def _numbers(batch: pa.Table | pa.RecordBatch, identity: str) -> np.ndarray:
    rows = zip(batch["problem_id"].to_pylist(), batch["prompt"].to_pylist(), strict=True)
    names = [group_id(Problem(problem_id=key, prompt=prompt, answer=""), identity) for key, prompt in rows]
    return np.array([as_number(name) for name in names], np.uint64)


def _read(problems: Path, identity: str, files: list[Path]) -> Dataset:
    """Saved groups, with what the columns of their problems are today: those are in the object store, not in a join."""
    today = ray.remote(num_cpus=0.5)(_indexed).remote(problems, identity)
    return ray.data.read_parquet([str(path) for path in files]).map_batches(
        as_of_today, fn_args=([today],), batch_format="pyarrow", num_cpus=0.5
    )


def _indexed(problems: Path, identity: str) -> tuple[np.ndarray, pa.Table]:
    table = pads.dataset(problems, schema=schema_of(Problem), format="parquet").to_table(filter=KEPT)
    ids = _numbers(table, identity)
    order = np.argsort(ids)
    return ids[order], table.take(order)


def as_of_today(table: pa.Table, today: list[Any]) -> pa.Table:
    """The groups of a file that this run asks for."""
    ids, problems = ray.get(today[0])
    groups = [Group.from_row(row) for row in table.to_pylist()]
    numbers = np.array([as_number(group.group_id) for group in groups], np.uint64)
    places = np.searchsorted(ids, numbers)
    wanted = np.flatnonzero((places < len(ids)) & (ids[np.minimum(places, len(ids) - 1)] == numbers))
    rows = problems.take(places[wanted]).to_pylist()
    kept = [
        Group.of(Problem.from_row(row), groups[i].group_id, groups[i].model, groups[i].rollouts)
        for i, row in zip(wanted.tolist(), rows, strict=True)
    ]
    return to_table(kept, Group)


def _generate(problems: Path, missing: np.ndarray, arguments: tuple[Any, ...], placed: list[PlacementGroup]) -> Dataset:
    """`arguments` are those of Answering."""
    who, seed = arguments[:2]
    engine = who.engine
    batch_size = 64 if isinstance(engine, ReplayEngine) else 1 if isinstance(engine, OpenAIEngine) else engine.batch_size
    workers = 1 if isinstance(engine, ReplayEngine | OpenAIEngine) else engine.workers
    smallest, largest = least_and_most(workers)
    concurrency = _batches_at_once(who)
    # Ray Data hands on what a task made when the task is over: small blocks, so that a group waits for few others.
    blocks = (
        ray.data.read_parquet(str(problems), schema=schema_of(Problem))
        .map_batches(only, fn_args=([ray.put(np.sort(missing))], identity(who, seed)), batch_format="pyarrow", num_cpus=0.5)
        .repartition(target_num_rows_per_block=batch_size)
    )
    return blocks.map_batches(
        Answering,
        fn_constructor_args=arguments,
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(
            min_size=smallest, max_size=largest, initial_size=smallest,
            max_tasks_in_flight_per_actor=concurrency + BATCHES_WAITING, max_concurrent_calls_per_actor=concurrency,
        ),
        ray_remote_args_fn=_bundles(engine, placed),
        **engine_resources(engine),
    )  # fmt: skip


def only(table: pa.Table, ids: list[Any], identity: str) -> pa.Table:
    """The problems whose groups are among these (sorted ids, in the object store)."""
    table = table.filter(KEPT)
    return table.filter(pa.array(np.isin(_numbers(table, identity), ray.get(ids[0])), pa.bool_()))


def _batches_at_once(who: Model) -> int:
    """How many blocks one engine works on at the same time."""
    engine = who.engine
    if isinstance(engine, VllmEngine):
        completions = engine.in_flight * engine.max_num_seqs
        return math.ceil(completions / who.sampling.rounds[0] / engine.batch_size)
    return engine.in_flight if isinstance(engine, OpenAIEngine) else 1


def engine_resources(engine: Engine) -> dict[str, float]:
    """What one actor with this engine asks of Ray."""
    if isinstance(engine, TransformersEngine):
        return {"num_cpus": engine.num_cpus, "num_gpus": engine.num_gpus}
    if isinstance(engine, VllmEngine):
        return {"num_cpus": engine.num_cpus, "num_gpus": 1 if engine.device == "gpu" and num_shards(engine) == 1 else 0}
    return {"num_cpus": 0.5}


def num_shards(engine: VllmEngine) -> int:
    """GPUs that one engine is spread over."""
    return engine.tensor_parallel * engine.pipeline_parallel


def _bundles(engine: Engine, placed: list[PlacementGroup]) -> Any:
    """For an engine on several GPUs: a placement group for each actor, whose bundles its shards take; else None.

    Tensor parallel shards talk all the time: all bundles lie on one node where one has room for them (PACK).
    """
    if not isinstance(engine, VllmEngine) or engine.device == "cpu" or num_shards(engine) == 1:
        return None
    shards, num_cpus = num_shards(engine), engine.num_cpus

    def with_a_group_of_its_own() -> dict[str, Any]:
        group = placement_group([{"GPU": 1, "CPU": num_cpus}, *[{"GPU": 1}] * (shards - 1)], strategy="PACK")
        placed.append(group)
        return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=True)}

    return with_a_group_of_its_own
