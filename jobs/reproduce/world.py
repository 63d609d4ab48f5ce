"""One seed's world: its questions, what the tiny models answer to them, and what is held out."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq

from ded_ray.files.parts import read_records
from ded_ray.generate.engine import Answer, Request
from ded_ray.models.surprisal import Reader
from ded_ray.recipe import Rewards, Sampling, Verify
from ded_ray.records import Group, Problem, Rollout, to_table
from ded_ray.tiny.problems import make_problems

TEACHERS = ("tiny/careful", "tiny/terse", "tiny/rambling", "tiny/student")
"""Candidates: three teachers that differ in accuracy, length and style, and the student itself."""

STUDENT = "tiny/student"
OUT_OF_DOMAIN = ("reverse", "sort", "larger")
LONGEST = (8, 8)
"""Digits of the out-of-domain problems: the most that the student has ever seen, where forgetting shows first."""


@dataclass(frozen=True)
class Size:
    """How much of everything. Quick: to see that all of it works; full: what the README's table is made of."""

    seeds: int
    questions: int
    held_out: int
    out_of_domain: int  # of each family
    samples: int
    epochs: int


QUICK = Size(seeds=2, questions=48, held_out=60, out_of_domain=15, samples=1, epochs=4)
FULL = Size(seeds=5, questions=160, held_out=200, out_of_domain=60, samples=2, epochs=10)

BATCH_SIZE, LEARNING_RATE = 16, 3e-4
SAMPLING = Sampling(num_rollouts=8, max_tokens=320)


@dataclass(frozen=True)
class World:
    folder: Path
    seed: int
    size: Size

    @property
    def questions(self) -> list[Problem]:
        return make_problems("chain", self.size.questions, (3, 8), seed=1000 + self.seed)

    def held_out(self) -> dict[str, list[Problem]]:
        """In-domain first."""
        asked = {problem.prompt for problem in self.questions}
        chains = make_problems("chain", self.size.held_out + len(asked), (3, 8), seed=2000 + self.seed)
        benchmarks = {"chain": [p for p in chains if p.prompt not in asked][: self.size.held_out]}
        for family in OUT_OF_DOMAIN:
            benchmarks[family] = make_problems(family, self.size.out_of_domain, LONGEST, seed=3000 + self.seed)
        return benchmarks

    def answers(self, model: str) -> list[Group]:
        """What `answer_all` has left, in the order of the questions."""
        groups = {group.problem_id: group for group in read_records(self.answers_file(model), Group)}
        return [groups[problem.problem_id] for problem in self.questions]

    def answer_all(self, model: str) -> None:
        """Every question eight times, verified, rewarded, and read by the student; once."""
        if self.answers_file(model).exists():
            return
        groups = answered(model, self.questions, SAMPLING, self.seed)
        rollouts = [(group.prompt, rollout) for group in groups for rollout in group.rollouts]
        surprises = Reader(STUDENT).surprises([(prompt, rollout.completion) for prompt, rollout in rollouts])
        for (_, rollout), surprise in zip(rollouts, surprises, strict=True):
            rollout.surprisal, rollout.rsr = surprise.mean_surprisal, surprise.rsr
        temporary = self.answers_file(model).with_suffix(".tmp")
        pq.write_table(to_table(groups, Group), temporary)
        temporary.rename(self.answers_file(model))

    def scores_file(self, key: str) -> Path:
        """Of the student whose lesson has this key."""
        return self.folder / f"student-{self.seed}-{key}.json"

    @property
    def names_file(self) -> Path:
        """The students' names, with the keys of their lessons."""
        return self.folder / f"students-{self.seed}.json"

    def answers_file(self, model: str) -> Path:
        return self.folder / f"answers-{self.seed}-{model.rsplit('/', 1)[-1]}.parquet"


def answered(model: str, problems: list[Problem], sampling: Sampling, seed: int, batch_size: int = 16) -> list[Group]:
    """Groups of a model, loaded in this process, with verdicts and rewards."""
    from ded_ray.generate.engines.transformers import TransformersModel
    from ded_ray.generate.identity import group_seed
    from ded_ray.verify.reward.total import reward_group
    from ded_ray.verify.worker import VerifyWorker

    engine, groups = TransformersModel(model), []
    by_seed = {group_seed(seed, problem.problem_id, "reproduce"): problem for problem in problems}
    with closing(VerifyWorker(Verify())) as verifying:
        for start in range(0, len(problems), batch_size):
            requests = [
                Request([{"role": "user", "content": problem.prompt}], sampling, own_seed)
                for own_seed, problem in list(by_seed.items())[start : start + batch_size]
            ]
            for request, rollouts in asyncio.run(_all(engine.generate(requests))):
                problem = by_seed[request.seed]
                group = Group.of(problem, f"{request.seed:016x}", model, rollouts)
                groups.append(reward_group(verifying.verify_group(group), Rewards()))
    return groups


async def _all(answers: AsyncIterator[Answer]) -> list[tuple[Request, list[Rollout]]]:
    """An embedded engine refuses nothing."""
    return [(request, rollouts) async for request, rollouts in answers if isinstance(rollouts, list)]


def remember(path: Path, found: Mapping[str, object]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(found))
    temporary.rename(path)


def same_world(folder: Path, size: Size) -> None:
    """Raises ValueError for a folder whose results are of another size, or were made with other constants."""
    file = folder / "world.json"
    now = asdict(size) | {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "sampling": SAMPLING.identity()}
    if file.exists() and json.loads(file.read_text()) != now:
        raise ValueError(f"{folder}: holds results of another size, or made with other constants; name another --out")
    file.write_text(json.dumps(now))
