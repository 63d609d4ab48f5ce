"""The door of the room: questions are compressed and groups curated as lazy Ray Data stages, a row at a time."""

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from ded_ray.curate.compress import compress
from ded_ray.curate.group import curate_group
from ded_ray.recipe import Curate
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

    def __init__(self, knobs: Curate, student: str) -> None:
        from transformers import AutoTokenizer

        self._knobs, self._tokenizer = knobs, AutoTokenizer.from_pretrained(model_path(student))

    def __call__(self, batch: pa.Table) -> pa.Table:
        groups = [Group.from_row(row) for row in batch.to_pylist()]
        return to_table([curate_group(group, self._knobs, self._encode) for group in groups], Group)

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)


def curate(groups: Dataset, knobs: Curate, student: str) -> Dataset:
    """Verified groups -> the same groups with advantage, weight and reason to drop on every rollout. Lazy."""
    return groups.map_batches(
        Curating,
        fn_constructor_args=(knobs, student),
        batch_format="pyarrow",
        batch_size=16,
        compute=ActorPoolStrategy(size=1),
        num_cpus=0.5,
    )
