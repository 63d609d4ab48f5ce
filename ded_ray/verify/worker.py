"""What runs inside verifier and judge actors: verdicts by the rules, and a judge's opinions beside them."""

import atexit
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ded_ray.models.thinking import Tags, final_part, thought_has_ended
from ded_ray.recipe import Judge, Verify
from ded_ray.records import Group, Problem, Rollout
from ded_ray.verify.code.verifier import CodeVerifier
from ded_ray.verify.judge import apply_opinion, is_asked, opinion, question
from ded_ray.verify.math.verifier import MathVerifier
from ded_ray.verify.multiple_choice import ChoiceVerifier
from ded_ray.verify.own import OwnVerifier
from ded_ray.verify.verdict import Verdict, Verifier

logger = logging.getLogger(__name__)


class VerifyWorker:
    """One verifier actor: keeps its verifiers, and their children, from batch to batch."""

    def __init__(self, config: Verify) -> None:
        self._config = config
        self._verifiers: dict[str, Verifier] = {}
        atexit.register(self.close)

    def close(self) -> None:
        """End the verifiers' children."""
        atexit.unregister(self.close)
        for verifier in self._verifiers.values():
            verifier.close()

    def __call__(self, groups: list[Group]) -> list[Group]:
        return [self.verify_group(group) for group in groups]

    def verify_group(self, group: Group) -> Group:
        """Fill in status, extracted, isolation and seconds of every rollout; a cut-off one is never correct."""
        verifier = self._verifier(group.verifier)
        for rollout in group.rollouts:
            started = time.perf_counter()
            verdict = self._verdict(verifier, group, rollout)
            rollout.status, rollout.extracted, rollout.isolation = verdict.status, verdict.extracted, verdict.isolation
            rollout.seconds = time.perf_counter() - started
        return group

    def _verifier(self, name: str) -> Verifier:
        if name not in self._verifiers:
            match name:
                case "math":
                    self._verifiers[name] = MathVerifier(self._config)
                case "choice":
                    self._verifiers[name] = ChoiceVerifier(self._config.answer_forms)
                case "code":
                    self._verifiers[name] = CodeVerifier(self._config.code)
                case _:
                    self._verifiers[name] = OwnVerifier(name, self._config)
        return self._verifiers[name]

    def _verdict(self, verifier: Verifier, group: Group, rollout: Rollout) -> Verdict:
        completion, tags = rollout.completion, self._config.think_tags
        if rollout.finish_reason == "length":
            return Verdict("truncated")
        if rollout.finish_reason == "other":
            return Verdict("unverifiable")  # nobody knows whether it is whole
        if self._config.thinking == "required" and not thought_has_ended(completion, tags):
            return Verdict("no_answer")
        if tags and not isinstance(verifier, OwnVerifier):
            completion = final_part(completion, tags)
        try:
            return verifier.verify(completion, group.answer, group.choices)
        except Exception:  # the boundary: a row that breaks a verifier must not take its batch along
            logger.warning("the %s verifier failed on group %s", group.verifier, group.group_id, exc_info=True)
            return Verdict("crashed")


class AllVerdictsAgree:
    """Adaptive sampling's stop rule: whether all of a group's verdicts agree. The group itself is left without any."""

    def __init__(self, config: Verify) -> None:
        self._worker = VerifyWorker(config)

    def __call__(self, group: Group) -> bool:
        return self._worker.verify_group(Group.from_row(group.to_row())).all_verdicts_agree


class Answerer(Protocol):
    """Asks a model: one group per problem, in any order. What generates is handed in; rooms do not import each other."""

    def answer(self, problems: list[Problem]) -> list[Group]: ...


@dataclass(frozen=True)
class JudgeActor:
    """How the judge's actor is made, and what it asks of Ray."""

    config: Judge
    make_answerer: Callable[[], Answerer]
    resources: dict[str, Any]
    think_tags: Tags = ()  # of the answers that it judges


class JudgeWorker:
    """One judge actor; its answerer holds the engine and remembers the replies that were paid for."""

    def __init__(self, actor: JudgeActor) -> None:
        self._config, self._answerer, self._tags = actor.config, actor.make_answerer(), actor.think_tags

    def __call__(self, groups: list[Group]) -> list[Group]:
        """Fill in judge_status and rule_status where the judge is asked, and the status where it decides."""
        asked: dict[str, tuple[Problem, list[Rollout]]] = {}  # equal rollouts of a file that is graded share a question
        for group in groups:
            for rollout in group.rollouts:
                if is_asked(group, rollout, self._config, self._tags):
                    problem = question(group, rollout, self._config, self._tags)
                    asked.setdefault(problem.problem_id, (problem, []))[1].append(rollout)
        if asked:
            for reply in self._answerer.answer([problem for problem, _ in asked.values()]):
                for rollout in asked[reply.problem_id][1]:
                    apply_opinion(rollout, opinion(reply.rollouts), self._config)
        return groups
