"""The door of the room: questions are compressed and groups curated as lazy Ray Data stages, a row at a time."""

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from ded_ray.curate.compress import compress
from ded_ray.curate.group import curate_group
from ded_ray.knobs import least_and_most
from ded_ray.recipe import Curate, Reading
from ded_ray.records import Group, Problem, to_table
from ded_ray.tiny.models import model_path


def compressed(batch: pa.Table, knobs: Curate) -> pa.Table:
    groups = [Group.from_row(row) for row in batch.to_pylist()]
    return to_table([compress(group, knobs.compress) for group in groups], Problem)


def questions(groups: Dataset, knobs: Curate) -> Dataset:
    """The student's groups -> their problems, each with its pass rate and perhaps a reason to drop it. Lazy."""
    return groups.map_batches(compressed, fn_args=(knobs,), batch_format="pyarrow", num_cpus=0.5)


class Curating:
    """One actor; keeps the student's tokenizer."""

    def __init__(self, knobs: Curate, student: str, seed: int) -> None:
        from transformers import AutoTokenizer

        self._knobs, self._seed = knobs, seed
        self._tokenizer = AutoTokenizer.from_pretrained(model_path(student))

    def __call__(self, batch: pa.Table) -> pa.Table:
        groups = [Group.from_row(row) for row in batch.to_pylist()]
        return to_table([curate_group(group, self._knobs, self._encode, self._seed) for group in groups], Group)

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)


class Surprising:
    """One actor; keeps the student, which reads what others wrote."""

    def __init__(self, knobs: Reading, student: str) -> None:
        from ded_ray.surprisal import Reader

        threads, use_gpu = max(1, int(knobs.num_cpus)), knobs.num_gpus > 0
        self._reader = Reader(student, threads, use_gpu=use_gpu, batch_tokens=knobs.batch_tokens)

    def __call__(self, batch: pa.Table) -> pa.Table:
        groups = [Group.from_row(row) for row in batch.to_pylist()]
        read = [(group.prompt, rollout) for group in groups for rollout in group.rollouts]
        surprises = self._reader.surprises([(prompt, rollout.completion) for prompt, rollout in read])
        for (_, rollout), surprise in zip(read, surprises, strict=True):
            rollout.surprisal, rollout.rsr = surprise.mean_surprisal, surprise.rsr
        return to_table(groups, Group)


def surprising(groups: Dataset, knobs: Reading, student: str) -> Dataset:
    """Groups with the surprisal and RSR of every rollout under the student. Lazy; a forward pass for each."""
    smallest, largest = least_and_most(knobs.workers)
    return groups.map_batches(
        Surprising,
        fn_constructor_args=(knobs, student),
        batch_format="pyarrow",
        batch_size=16,
        compute=ActorPoolStrategy(min_size=smallest, max_size=largest, initial_size=smallest),
        num_cpus=knobs.num_cpus,
        num_gpus=knobs.num_gpus,
    )


def curate(groups: Dataset, knobs: Curate, student: str, seed: int) -> Dataset:
    """Verified groups -> the same groups with advantage, weight and reason to drop on every rollout. Lazy."""
    if knobs.diversity.pick == "lowest_rsr":
        groups = surprising(groups, knobs.reading, student)
    return groups.map_batches(
        Curating,
        fn_constructor_args=(knobs, student, seed),
        batch_format="pyarrow",
        batch_size=16,
        compute=ActorPoolStrategy(size=1),
        num_cpus=0.5,
    )
