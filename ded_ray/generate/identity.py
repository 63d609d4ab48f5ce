"""What makes a group, as an id: whatever has the same id is never generated twice.

    job = GenerateJob(recipe.student, recipe.seed, folder, quarantine)
    job.group_id(problem)   # 16 hexadecimal digits: prompt, model, sampling, seed
    job.seed_of(problem)    # rollout i of the group uses the random stream seed_of(problem) + i

A corrected reference or another number of workers changes neither.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from ded_ray.files.folders import dataset
from ded_ray.files.user import data_files
from ded_ray.recipe import Generator, ReplayEngine, VllmEngine
from ded_ray.records import Problem, stable_hash

KEPT = pads.field("dropped_because").is_null()


@dataclass(frozen=True)
class GenerateJob:
    """Which model answers, in which way, and where its groups are kept."""

    generator: Generator
    seed: int  # the recipe's
    folder: Path  # where its groups are saved
    quarantine: Path  # the file of prompts that could not be answered
    checkpoint: str = ""  # which weights a served name stands for; '' when the model's own name says it
    paired: bool = False  # evaluation: every model gets the same random streams, so that differences are the models'

    @cached_property
    def identity(self) -> str:
        """What makes the answers of this model, whatever the prompt."""
        own = identity(self.generator, self.seed)
        return stable_hash(own, self.checkpoint) if self.checkpoint else own

    def group_id(self, problem: Problem) -> str:
        return group_id(problem, self.identity)

    def seed_of(self, problem: Problem) -> int:
        """Problems of an evaluation are named BENCHMARK/ID, and seeded by their ID."""
        if self.paired:
            return group_seed(self.seed, problem.problem_id.partition("/")[2], "evaluate")
        return group_seed(self.seed, problem.problem_id, self.generator.model)


def group_id(problem: Problem, identity: str) -> str:
    """The same for the same prompt asked of the same model in the same way, on every machine.

    Reference and verifier are no part of it: a corrected answer does not cost a rollout.
    """
    return stable_hash(problem.problem_id, problem.prompt, identity)


def group_seed(recipe_seed: int, problem_id: str, model: str) -> int:
    """A 48-bit seed per group: spaced by hashing, because neighbours would share streams (rollout i uses seed + i)."""
    return int(stable_hash("seed", recipe_seed, problem_id, model)[:12], 16)


def identity(generator: Generator, seed: int) -> str:
    """A hash of the model's name, kind of engine, chat, sampling and seed; and of the bytes of a replayed file or an
    adapter."""
    sampling = json.dumps(generator.sampling.identity())
    chat = generator.chat
    parts = [generator.model, generator.engine.identity(), chat.rendering(), chat.system, sampling, seed]
    files = data_files(generator.engine.path) if isinstance(generator.engine, ReplayEngine) else []
    if isinstance(generator.engine, VllmEngine) and generator.engine.lora:
        files = sorted(path for path in Path(generator.engine.lora).iterdir() if path.is_file())
    for path in files:
        with path.open("rb") as file:
            parts.append(hashlib.file_digest(file, "sha256").hexdigest())
    return stable_hash(*parts)


def as_number(group_id: str) -> int:
    """An id of 16 hexadecimal digits as 8 bytes: ten million of them take 80 MB."""
    return int(group_id, 16)


def as_numbers(group_ids: list[str]) -> np.ndarray:
    """Ids as uint64."""
    return np.array([as_number(group_id) for group_id in group_ids], np.uint64)


def ids_of(problems: Path, identity: str) -> np.ndarray:
    """The ids (uint64) of the groups of a folder of problems, in its order; dropped problems are left out."""
    batches = dataset(problems).to_batches(columns=["problem_id", "prompt"], filter=KEPT)
    return np.concatenate([np.empty(0, np.uint64), *[ids_of_rows(batch, identity) for batch in batches]])


def ids_of_rows(batch: pa.Table | pa.RecordBatch, identity: str) -> np.ndarray:
    """The same of rows with the columns problem_id and prompt."""
    rows = zip(batch["problem_id"].to_pylist(), batch["prompt"].to_pylist(), strict=True)
    return as_numbers([group_id(Problem(problem_id=key, prompt=prompt, answer=""), identity) for key, prompt in rows])


class Ids:
    """A set of ids that only grows, 8 bytes each: ten million take 80 MB, not the gigabyte of a set of numbers."""

    def __init__(self) -> None:
        self._sorted, self._recent = np.empty(0, np.uint64), set[int]()

    def add(self, number: int) -> None:
        self._recent.add(number)
        if len(self._recent) >= 100_000:
            self._sorted = np.union1d(self._sorted, np.fromiter(self._recent, np.uint64))
            self._recent.clear()

    def __contains__(self, number: int) -> bool:
        place = np.searchsorted(self._sorted, np.uint64(number))
        return number in self._recent or bool(place < len(self._sorted) and self._sorted[place] == number)
