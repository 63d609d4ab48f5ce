"""The door of the room: questions are compressed and groups curated as lazy Ray Data stages, a row at a time."""

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from ded_ray.curate.compress import compress
from ded_ray.curate.group import curate_group
from ded_ray.curate.rules.correctness import reason_to_drop
from ded_ray.knobs import least_and_most
from ded_ray.recipe import Curate, Quality, Reading
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

    def __init__(self, knobs: Curate, student: str, seed: int, max_length: int | None) -> None:
        from transformers import AutoTokenizer

        self._knobs, self._seed, self._max_length = knobs, seed, max_length
        self._tokenizer = AutoTokenizer.from_pretrained(model_path(student))

    def __call__(self, batch: pa.Table) -> pa.Table:
        groups = [Group.from_row(row) for row in batch.to_pylist()]
        curated = [curate_group(each, self._knobs, self._encode, self._seed, self._room(each.prompt)) for each in groups]
        return to_table(curated, Group)

    def _room(self, prompt: str) -> int | None:
        """Tokens that a sequence to train on has for its completion, the end token left out."""
        if self._max_length is None:
            return None
        messages = [{"role": "user", "content": prompt}]
        shown = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return self._max_length - len(self._encode(shown)) - 1

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)


class Surprising:
    """One actor; keeps the student, which reads what others wrote."""

    def __init__(self, knobs: Reading, quality: Quality, student: str) -> None:
        from ded_ray.surprisal import Reader

        self._quality = quality
        threads, use_gpu = max(1, int(knobs.num_cpus)), knobs.num_gpus > 0
        self._reader = Reader(student, threads, use_gpu=use_gpu, batch_tokens=knobs.batch_tokens)

    def __call__(self, batch: pa.Table) -> pa.Table:
        groups = [Group.from_row(row) for row in batch.to_pylist()]
        read = [(g.prompt, r) for g in groups for r in g.rollouts if reason_to_drop(r.status, self._quality) is None]
        surprises = self._reader.surprises([(prompt, rollout.completion) for prompt, rollout in read])
        for (_, rollout), surprise in zip(read, surprises, strict=True):
            rollout.surprisal, rollout.rsr = surprise.mean_surprisal, surprise.rsr
        return to_table(groups, Group)


def _pool(workers: int | tuple[int, int]) -> ActorPoolStrategy:
    smallest, largest = least_and_most(workers)
    return ActorPoolStrategy(min_size=smallest, max_size=largest, initial_size=smallest)


def surprising(groups: Dataset, knobs: Reading, quality: Quality, student: str) -> Dataset:
    """Groups with the surprisal and RSR, under the student, of what may be trained on. Lazy; a forward pass for each."""
    return groups.map_batches(
        Surprising,
        fn_constructor_args=(knobs, quality, student),
        batch_format="pyarrow",
        batch_size=16,
        compute=_pool(knobs.workers),
        num_cpus=knobs.num_cpus,
        num_gpus=knobs.num_gpus,
    )


def curate(groups: Dataset, knobs: Curate, student: str, seed: int, max_length: int | None = None) -> Dataset:
    """Verified groups -> the same groups with advantage, weight and reason to drop on every rollout. Lazy.

    `max_length`: of a sequence that can be trained on; what is longer is dropped before the most diverse are picked.
    """
    if knobs.diversity.pick == "lowest_rsr":
        groups = surprising(groups, knobs.reading, knobs.quality, student)
    return groups.map_batches(
        Curating,
        fn_constructor_args=(knobs, student, seed, max_length),
        batch_format="pyarrow",
        batch_size=16,
        compute=_pool(knobs.workers),
        num_cpus=0.5,
    )
