"""The door of the room: verdicts, a judge's opinions and rewards as lazy Ray Data stages beside whatever generates."""

import atexit
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from ded_ray.knobs import least_and_most
from ded_ray.recipe import Judge, Rewards, Verify
from ded_ray.records import Group, Problem, Rollout, to_table, write_part
from ded_ray.verify.choice import ChoiceVerifier
from ded_ray.verify.code import CodeVerifier
from ded_ray.verify.judge import apply_opinion, is_asked, opinion, question
from ded_ray.verify.math import MathVerifier
from ded_ray.verify.own import OwnVerifier
from ded_ray.verify.reward.total import reward_group
from ded_ray.verify.verdict import Verdict, Verifier

logger = logging.getLogger(__name__)

BATCHES_IN_FLIGHT = 2
"""Per verifier actor; what generates is held back when more would wait."""


class Verifying:
    """One verifier actor: keeps its verifiers, and their children, from batch to batch."""

    def __init__(self, recipe: Verify, save_to: Path | None = None) -> None:
        self._recipe, self._save_to = recipe, save_to
        self._verifiers: dict[str, Verifier] = {}
        atexit.register(self.close)

    def close(self) -> None:
        """End the verifiers' children."""
        atexit.unregister(self.close)
        for verifier in self._verifiers.values():
            verifier.close()

    def _verifier(self, name: str) -> Verifier:
        if name not in self._verifiers:
            match name:
                case "math":
                    self._verifiers[name] = MathVerifier(self._recipe)
                case "choice":
                    self._verifiers[name] = ChoiceVerifier(self._recipe.answer_forms)
                case "code":
                    self._verifiers[name] = CodeVerifier(self._recipe.code)
                case _:
                    self._verifiers[name] = OwnVerifier(name, self._recipe)
        return self._verifiers[name]

    def verify_group(self, group: Group) -> Group:
        """Fill in status, extracted, isolation and seconds of every rollout; a cut-off one is never correct."""
        verifier = self._verifier(group.verifier)
        for rollout in group.rollouts:
            started = time.perf_counter()
            verdict = self._verdict(verifier, group, rollout)
            rollout.status, rollout.extracted, rollout.isolation = verdict.status, verdict.extracted, verdict.isolation
            rollout.seconds = time.perf_counter() - started
        return group

    def _verdict(self, verifier: Verifier, group: Group, rollout: Rollout) -> Verdict:
        if rollout.finish_reason == "length":
            return Verdict("truncated")
        if self._recipe.thinking == "required" and "</think>" not in rollout.completion:
            return Verdict("no_answer")
        try:
            return verifier.verify(rollout.completion, group.answer, group.choices)
        except Exception:  # the boundary: a row that breaks a verifier must not take its batch along
            logger.warning("the %s verifier failed on group %s", group.verifier, group.group_id, exc_info=True)
            return Verdict("crashed")

    def __call__(self, batch: pa.Table) -> pa.Table:
        return _written([self.verify_group(Group.from_row(row)) for row in batch.to_pylist()], self._save_to)


class Settled:
    """Says of a group without verdicts whether it is settled, and gives it none."""

    def __init__(self, knobs: Verify) -> None:
        self._verifying = Verifying(knobs)

    def __call__(self, group: Group) -> bool:
        return self._verifying.verify_group(Group.from_row(group.to_row())).settled


class Answerer(Protocol):
    """Asks a model: one group per problem, in any order. What generates is handed in; rooms do not import each other."""

    def answer(self, problems: list[Problem]) -> list[Group]: ...


class Judging:
    """One judge actor; its answerer holds the engine and remembers the replies that were paid for."""

    def __init__(self, knobs: Judge, make_answerer: Callable[[], Answerer], save_to: Path | None = None) -> None:
        self._knobs, self._answerer, self._save_to = knobs, make_answerer(), save_to

    def judge_groups(self, groups: list[Group]) -> list[Group]:
        """Fill in judge_status and rule_status where the judge is asked, and the status where it decides."""
        asked: dict[str, tuple[Problem, list[Rollout]]] = {}  # equal rollouts of a file that is graded share a question
        for group in groups:
            for rollout in group.rollouts:
                if is_asked(group, rollout, self._knobs):
                    problem = question(group, rollout, self._knobs)
                    asked.setdefault(problem.problem_id, (problem, []))[1].append(rollout)
        if asked:
            for reply in self._answerer.answer([problem for problem, _ in asked.values()]):
                for rollout in asked[reply.problem_id][1]:
                    apply_opinion(rollout, opinion(reply.rollouts), self._knobs)
        return groups

    def __call__(self, batch: pa.Table) -> pa.Table:
        return _written(self.judge_groups([Group.from_row(row) for row in batch.to_pylist()]), self._save_to)


def _written(groups: list[Group], save_to: Path | None) -> pa.Table:
    table = to_table(groups, Group)
    if save_to is not None:
        write_part(save_to, table)
    return table


def verify(groups: Dataset, recipe: Verify, save_to: Path | None = None) -> Dataset:
    """Groups with verdicts. Lazy; with `save_to` every batch is also written there as it passes."""
    return groups.map_batches(
        Verifying,
        fn_constructor_args=(recipe, save_to),
        batch_size=recipe.batch_size,
        batch_format="pyarrow",
        compute=actor_pool(recipe.workers),
        num_cpus=recipe.num_cpus,
    )


def actor_pool(workers: int | tuple[int, int]) -> ActorPoolStrategy:
    """So many actors, or as many between two numbers as Ray Data finds work and room for."""
    smallest, largest = least_and_most(workers)
    return ActorPoolStrategy(
        min_size=smallest, max_size=largest, initial_size=smallest, max_tasks_in_flight_per_actor=BATCHES_IN_FLIGHT
    )


def judge(
    groups: Dataset, knobs: Judge, make_answerer: Callable[[], Answerer], resources: dict[str, float], save_to: Path | None
) -> Dataset:
    """Groups whose unchecked rollouts were shown to the judge. Lazy; `resources` are what its engine needs."""
    return groups.map_batches(
        Judging,
        fn_constructor_args=(knobs, make_answerer, save_to),
        batch_size=16,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=BATCHES_IN_FLIGHT),
        **resources,
    )


def reward(groups: Dataset, knobs: Rewards) -> Dataset:
    """Groups with rewards. Lazy."""
    return groups.map_batches(rewarded, fn_args=(knobs,), batch_format="pyarrow", num_cpus=0.25)


def rewarded(batch: pa.Table, knobs: Rewards) -> pa.Table:
    return to_table([reward_group(Group.from_row(row), knobs) for row in batch.to_pylist()], Group)
