"""The door of the room: verdicts as one lazy Ray Data stage, in a pool of actors beside whatever generates."""

import atexit
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from ded_ray.recipe import Verify
from ded_ray.records import Group, Rollout, to_table, write_part
from ded_ray.verify.choice import ChoiceVerifier
from ded_ray.verify.code import CodeVerifier
from ded_ray.verify.math import MathVerifier
from ded_ray.verify.verdict import Verdict, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable


class Verifying:
    """One verifier actor: keeps its verifiers, and their children, from batch to batch."""

    def __init__(self, recipe: Verify, save_to: Path | None = None) -> None:
        self._save_to = save_to
        self._verifiers: dict[str, Verifier] = {}
        atexit.register(self.close)
        self._makers: dict[str, Callable[[], Verifier]] = {
            "math": lambda: MathVerifier(recipe.answer_forms, recipe.timeout_seconds, recipe.memory_bytes),
            "choice": lambda: ChoiceVerifier(recipe.answer_forms),
            "code": lambda: CodeVerifier(recipe.code),
        }

    def verdict(self, verifier: str, completion: str, answer: str, choices: list[str]) -> tuple[Verdict, float]:
        """One verdict and the seconds that it took."""
        if verifier not in self._verifiers:
            self._verifiers[verifier] = self._makers[verifier]()
        started = time.perf_counter()
        verdict = self._verifiers[verifier].verify(completion, answer, choices)
        return verdict, time.perf_counter() - started

    def close(self) -> None:
        """End the verifiers' children."""
        for verifier in self._verifiers.values():
            verifier.close()

    def verify_group(self, group: Group) -> Group:
        """Fill in status, reward, extracted and seconds of every rollout; a cut-off one is never correct."""
        for rollout in group.rollouts:
            self._verify_rollout(group, rollout)
        return group

    def _verify_rollout(self, group: Group, rollout: Rollout) -> None:
        verdict, seconds = Verdict("truncated"), 0.0
        if rollout.finish_reason != "length":
            verdict, seconds = self.verdict(group.verifier, rollout.completion, group.answer, group.choices)
        rollout.status, rollout.extracted = verdict.status, verdict.extracted
        rollout.reward, rollout.seconds = verdict.reward, seconds

    def __call__(self, batch: pa.Table) -> pa.Table:
        table = to_table([self.verify_group(Group.from_row(row)) for row in batch.to_pylist()], Group)
        if self._save_to is not None:
            write_part(self._save_to, table)
        return table


def verify(groups: Dataset, recipe: Verify, save_to: Path | None = None) -> Dataset:
    """Groups with verdicts. Lazy; with `save_to` every batch is also written there as it passes."""
    return groups.map_batches(
        Verifying,
        fn_constructor_args=(recipe, save_to),
        batch_size=recipe.batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=recipe.workers),
        num_cpus=recipe.num_cpus,
    )
