"""The student's pass rate on held-out questions while it is trained: sampled, verified, and averaged as an evaluation's.

    exam = Exam(questions_of(tokens, held_out, curated, most=32), ...)      # the same at every measurement
    exam.pass_rate(strategy, step=50)                                       # 0 to 1

The prompts are the very tokens of training and serving (models/chat.py). What is right is in the curated groups, which hold
their problems; who compares is handed in, as rooms do not import each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow.compute as pc
import torch

from ded_ray.evaluate.scores import pass_rates
from ded_ray.files.folders import dataset
from ded_ray.models.chat import ChatTokenizer
from ded_ray.models.sampling import Row
from ded_ray.recipe import PassRate
from ded_ray.records import PROBLEM_COLUMNS, FinishReason, Group, Problem, Rollout, stable_hash
from ded_ray.train.answer import Asked, answer
from ded_ray.train.step import Place
from ded_ray.train.strategy import Strategy
from ded_ray.train.tokens import Tokens


class Verifier(Protocol):
    """Gives every rollout of a group a status."""

    def verify_group(self, group: Group) -> Group: ...


@dataclass(frozen=True)
class Grading:
    """Where the questions' answers are, and what makes a verifier; each worker has one of its own."""

    curated: Path
    make_verifier: Callable[[], Verifier]


@dataclass(frozen=True)
class Question:
    problem: Problem
    prompt_ids: list[int]


@dataclass(frozen=True)
class Exam:
    """What is asked, how, and by whom it is checked."""

    questions: list[Question]
    config: PassRate
    chat: ChatTokenizer
    ends: frozenset[int]
    max_length: int  # of prompt and answer together, in tokens
    verifier: Verifier
    place: Place
    seed: int

    def pass_rate(self, strategy: Strategy, *, step: int) -> float | None:
        """The mean over questions of correct over checked samples, of all workers; None if nothing could be checked.

        A collective. What is sampled depends on seed, step, question and sample, not on the number of workers.
        """
        place, num_mine = self.place, -(-len(self.questions) // self.place.num_workers)
        mine = self.questions[place.rank :: place.num_workers]
        asked = [Asked(question.prompt_ids, self._rows(question, step)) for question in mine]
        spare = Asked(self.questions[0].prompt_ids, [])
        answer(strategy, [*asked, *[spare] * (num_mine - len(mine))], place, at_once=self.config.questions_at_once)
        rates = pass_rates(self._verified(question, each) for question, each in zip(mine, asked, strict=True))
        found = torch.tensor([sum(rates.values()), float(len(rates))], device=place.device)
        torch.distributed.all_reduce(found)
        total, number = found.tolist()
        return total / number if number else None

    def _rows(self, question: Question, step: int) -> list[Row]:
        room = self.max_length - len(question.prompt_ids)
        return [
            Row(
                seed=int(stable_hash("pass rate", self.seed, step, question.problem.problem_id, sample), 16) >> 1,
                max_tokens=min(self.config.max_tokens or room, room),
                ends=self.ends,
                temperature=self.config.temperature,
                top_p=self.config.top_p,
            )
            for sample in range(self.config.num_samples)
        ]

    def _verified(self, question: Question, asked: Asked) -> Group:
        rollouts = [self._rollout(index, row) for index, row in enumerate(asked.rows)]
        return self.verifier.verify_group(Group.of(question.problem, question.problem.problem_id, "student", rollouts))

    def _rollout(self, index: int, row: Row) -> Rollout:
        reason: FinishReason = "stop" if row.finish_reason == "stop" else "length"
        text = self.chat.decode(row.tokens[:-1] if reason == "stop" else row.tokens)
        return Rollout(index=index, completion=text, num_tokens=len(row.tokens), finish_reason=reason, seed=row.seed)


def questions_of(tokens: Tokens, held_out: Sequence[int], curated: Path, *, most: int) -> list[Question]:
    """So many of the questions that these sequences answer, always the same ones, each with its problem."""
    prompts = {tokens.problem_id(i): i for i in held_out}
    chosen = sorted(prompts, key=lambda name: stable_hash("asked", name))[:most]
    rows = dataset(curated).to_table(columns=list(PROBLEM_COLUMNS), filter=pc.field("problem_id").isin(chosen)).to_pylist()
    problems = {row["problem_id"]: Problem.from_row(row) for row in rows}
    return [Question(problems[name], tokens[prompts[name]].prompt_ids) for name in chosen]
