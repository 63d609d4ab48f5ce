"""Ray Data entry point: questions are compressed and groups curated as lazy stages.

    asked = questions(student_groups, recipe.curate)    # Problems with a pass rate
    kept = curate(teacher_groups, recipe.curate, recipe.student, recipe.seed, max_length=2048)

`kept` are the same groups, whose rollouts have weights or reasons to be dropped.
"""

from ray.data import Dataset

from ded_ray.curate.compress import compress
from ded_ray.curate.group import curate_group
from ded_ray.curate.rules.correctness import reason_to_drop
from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Curate, Generator, Quality, Reading
from ded_ray.records import Group, Problem
from ded_ray.runtime.map_groups import actor_pool, map_groups
from ded_ray.runtime.needs import COMPRESS, curate_needs, reading_needs

GROUPS_PER_BATCH = 16


def questions(groups: Dataset, config: Curate) -> Dataset:
    """The student's groups -> their problems, each with its pass rate and, if it is dropped, the reason. Lazy."""
    return map_groups(groups, compressed, (config,), record=Problem, **COMPRESS.resources)


def compressed(groups: list[Group], config: Curate) -> list[Problem]:
    return [compress(group, config.compress) for group in groups]


def curate(groups: Dataset, config: Curate, student: Generator, seed: int, *, max_length: int | None = None) -> Dataset:
    """Verified groups -> the same groups with advantage, weight and reason to drop on every rollout. Lazy.

    `max_length` is the longest sequence that can be trained on, in the student's tokens; what is longer is dropped
    before the most diverse are picked.
    """
    if config.diversity.pick == "lowest_rsr":
        groups = with_surprisal(groups, config.reading, config.quality, student)
    return map_groups(
        groups,
        CurateWorker,
        (config, student, seed, max_length),
        batch_size=GROUPS_PER_BATCH,
        compute=actor_pool(config.workers),
        **curate_needs(config).resources,
    )


def with_surprisal(groups: Dataset, config: Reading, quality: Quality, student: Generator) -> Dataset:
    """Groups with the surprisal and RSR, under the student, of what may be trained on. Lazy; a forward pass for each."""
    return map_groups(
        groups,
        SurprisalWorker,
        (config, quality, student),
        batch_size=GROUPS_PER_BATCH,
        compute=actor_pool(config.workers),
        **reading_needs(config).resources,
    )


class CurateWorker:
    """One actor; keeps the student's tokenizer."""

    def __init__(self, config: Curate, student: Generator, seed: int, max_length: int | None) -> None:
        self._config, self._seed, self._max_length = config, seed, max_length
        self._chat = ChatTokenizer(student.model, student.chat)

    def __call__(self, groups: list[Group]) -> list[Group]:
        return [
            curate_group(group, self._config, self._chat.encode, seed=self._seed, max_tokens=self._max_tokens(group.prompt))
            for group in groups
        ]

    def _max_tokens(self, prompt: str) -> int | None:
        """The longest completion that can be trained on after this prompt, the end token left out."""
        return None if self._max_length is None else self._max_length - len(self._chat.prompt_ids(prompt)) - 1


class SurprisalWorker:
    """One actor; keeps the student, which reads what others wrote."""

    def __init__(self, config: Reading, quality: Quality, student: Generator) -> None:
        from ded_ray.models.surprisal import Reader

        self._quality = quality
        threads, use_gpu = max(1, int(config.num_cpus)), config.num_gpus > 0
        self._reader = Reader(student.model, threads, chat=student.chat, use_gpu=use_gpu, batch_tokens=config.batch_tokens)

    def __call__(self, groups: list[Group]) -> list[Group]:
        trainable = [(g.prompt, r) for g in groups for r in g.rollouts if reason_to_drop(r.status, self._quality) is None]
        surprises = self._reader.surprises([(prompt, rollout.completion) for prompt, rollout in trainable])
        for (_, rollout), surprise in zip(trainable, surprises, strict=True):
            rollout.surprisal, rollout.rsr = surprise.mean_surprisal, surprise.rsr
        return groups
