"""The door of the room: problems become groups in a pool of engine actors, as one lazy Ray Data stage.

Every group is written to the run's folder by the actor that made it, before it is handed on, and is known by an id
that says exactly what made it; so a rollout that was paid for is never made again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import ray
from ray.data import ActorPoolStrategy, Dataset

from ded_ray.generate.engine import Request, group_seed, identity, make_engine
from ded_ray.recipe import Engine, Model, ReplayEngine, TransformersEngine
from ded_ray.records import Group, Problem, Rollout, read_records, stable_hash, to_table, write_part

BATCHES_IN_FLIGHT = 2
"""Per engine actor: one being answered, one waiting beside it."""


def group_id(problem: Problem, identity: str) -> str:
    """The same for the same prompt asked of the same model in the same way, on every machine.

    Reference and verifier are no part of it: a corrected answer does not cost a rollout.
    """
    return stable_hash(problem.problem_id, problem.prompt, identity)


class Answering:
    """One engine actor. `saved` are groups of earlier runs that it need not make again, by id; `counts` may be None."""

    def __init__(self, who: Model, seed: int, save_to: Path, counts: Any, saved: dict[str, Path] | None = None) -> None:
        self._engine = make_engine(who.model, who.engine)
        self._who, self._seed, self._save_to, self._counts = who, seed, save_to, counts
        self._identity, self._saved = identity(who, seed), saved or {}

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        yield to_table(self.answer([Problem.from_row(row) for row in batch.to_pylist()]), Group)

    def answer(self, problems: list[Problem]) -> list[Group]:
        """One group per problem, in any order; the new ones are saved before they are returned."""
        by_id = {group_id(problem, self._identity): problem for problem in problems}
        files = sorted({self._saved[name] for name in by_id if name in self._saved})
        groups = [group for file in files for group in read_records(file, Group) if group.group_id in by_id]
        for group in groups:
            del by_id[group.group_id]
        if by_id:
            requests = [self._request(problem) for problem in by_id.values()]
            made = [self._group(request, rollouts) for request, rollouts in self._engine.generate(requests)]
            self._save_to.mkdir(parents=True, exist_ok=True)
            write_part(self._save_to, to_table(made, Group))
            self._report([rollout for group in made for rollout in group.rollouts], len(made))
            groups += made
        return groups

    def _request(self, problem: Problem) -> Request:
        seed = group_seed(self._seed, problem.problem_id, self._who.model)
        return Request([{"role": "user", "content": problem.prompt}], self._who.sampling, seed, problem)

    def _group(self, request: Request, rollouts: list[Rollout]) -> Group:
        problem = request.problem
        assert problem is not None
        return Group.of(problem, group_id(problem, self._identity), self._who.model, rollouts)

    def _report(self, rollouts: list[Rollout], num_groups: int) -> None:
        if self._counts is None:
            return
        self._counts.add.remote(
            done=num_groups,
            rollouts=len(rollouts),
            tokens=sum(r.num_tokens for r in rollouts),
            cut_off=sum(r.finish_reason == "length" for r in rollouts),
        )


def saved_groups(folder: Path, wanted: set[str] | None = None) -> dict[str, Path]:
    """The file of every (wanted) group that an earlier run finished. Removes what a kill left half-written or doubled."""
    saved: dict[str, Path] = {}
    for path in sorted(folder.glob(".part-*")):
        path.unlink()
    for path in sorted(folder.glob("part-*.parquet")):
        names = pads.dataset(path).to_table(columns=["group_id"])["group_id"].to_pylist()
        if any(name in saved for name in names):
            # An actor that outlived its driver wrote a batch that the next run made again, in other company.
            rest = pq.read_table(path).filter(pa.array([name not in saved for name in names], pa.bool_()))
            path.unlink()
            if not rest.num_rows:
                continue
            path = write_part(folder, rest)
            names = rest["group_id"].to_pylist()
        saved |= {name: path for name in names if wanted is None or name in wanted}
    return saved


def answer(problems: list[Problem], who: Model, seed: int, save_to: Path, counts: Any) -> Dataset:
    """One group per problem: those that `save_to` already holds are read, the others are generated. Lazy.

    `counts` is a progress actor's handle; groups that are merely read are reported to it at once.
    """
    made_by = identity(who, seed)
    by_id = {group_id(problem, made_by): problem for problem in problems}
    saved = saved_groups(save_to, set(by_id))
    counts.add.remote(done=len(saved))
    missing = [problem for name, problem in by_id.items() if name not in saved]
    parts = []
    if saved:
        files = sorted({str(path) for path in saved.values()})
        parts.append(ray.data.read_parquet(files).map_batches(
            only_wanted, fn_args=({name: by_id[name] for name in saved},), batch_format="pyarrow", num_cpus=0.5
        ))  # fmt: skip
    if missing:
        parts.append(_generate(missing, who, seed, save_to, counts))
    return parts[0].union(parts[1]) if len(parts) == 2 else parts[0]


def only_wanted(table: pa.Table, wanted: dict[str, Problem]) -> pa.Table:
    """The groups of a file that this run asks for, with what the problem's columns are today."""
    groups = [Group.from_row(row) for row in table.to_pylist()]
    kept = [Group.of(wanted[g.group_id], g.group_id, g.model, g.rollouts) for g in groups if g.group_id in wanted]
    return to_table(kept, Group)


def _generate(problems: list[Problem], who: Model, seed: int, save_to: Path, counts: Any) -> Dataset:
    engine = who.engine
    batch_size = 64 if isinstance(engine, ReplayEngine) else engine.batch_size
    workers = 1 if isinstance(engine, ReplayEngine) else engine.workers
    # One block per batch, so that the first groups reach the verifiers while the others are still being made.
    tables = [to_table(problems[i : i + batch_size], Problem) for i in range(0, len(problems), batch_size)]
    return ray.data.from_arrow(tables).map_batches(
        Answering,
        fn_constructor_args=(who, seed, save_to, counts),
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=BATCHES_IN_FLIGHT),
        **engine_resources(engine),
    )


def engine_resources(engine: Engine) -> dict[str, float]:
    """What one actor with this engine asks of Ray."""
    if isinstance(engine, TransformersEngine):
        return {"num_cpus": engine.num_cpus, "num_gpus": engine.num_gpus}
    return {"num_cpus": 0.5}
