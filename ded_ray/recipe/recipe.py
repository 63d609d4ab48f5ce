"""The recipe: all knobs of one run. Rules that concern several parts are checked here."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from ded_ray.recipe.budget import Budget
from ded_ray.recipe.config import Config
from ded_ray.recipe.curate import Curate
from ded_ray.recipe.engines import ReplayEngine
from ded_ray.recipe.evaluate import Evaluate
from ded_ray.recipe.generate import Student
from ded_ray.recipe.problems import Problems
from ded_ray.recipe.rewards import Rewards
from ded_ray.recipe.serve import Serve
from ded_ray.recipe.teachers import Teachers
from ded_ray.recipe.train import Train
from ded_ray.recipe.verify import Verify


def _one_or_several(raw: Any) -> Any:
    return raw if isinstance(raw, list | tuple) else [raw]


class Recipe(Config):
    name: str
    seed: int = 0
    """Seeds sampling, training order and bootstrap."""
    problems: Annotated[tuple[Problems, ...], Field(min_length=1), BeforeValidator(_one_or_several)]
    """One source, or a list of them."""
    student: Student
    teachers: Teachers
    """A list is short for its `candidates`, `teacher: {...}` for a list of one; `teacher: auto` chooses among them."""
    verify: Verify = Verify()
    rewards: Rewards = Rewards()
    curate: Curate = Curate()
    train: Train = Train()
    serve: Serve = Serve()
    evaluate: Evaluate = Evaluate()
    budget: Budget = Budget()

    @model_validator(mode="before")
    @classmethod
    def _teachers(cls, raw: Any) -> Any:
        """`teacher` and the list form of `teachers`, as what they are short for."""
        if not isinstance(raw, dict):
            return raw
        teacher, teachers = raw.get("teacher"), raw.get("teachers")
        rest = {name: value for name, value in raw.items() if name not in {"teacher", "teachers"}}
        if isinstance(teachers, list | tuple):
            teachers = {"candidates": teachers}
        if teacher == "auto":
            if not isinstance(teachers, dict):
                raise ValueError("teacher: auto chooses among teachers; list them under teachers")
            teachers = {**teachers, "choose": True}
        elif teacher is not None:
            if teachers is not None:
                raise ValueError("teacher: give either teacher or teachers")
            teachers = {"candidates": [teacher]}
        return rest if teachers is None else {**rest, "teachers": teachers}

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        names = [b.name for b in self.evaluate.benchmarks]
        if len(names) != len(set(names)):
            raise ValueError("evaluate.benchmarks: each needs a name of its own")
        if isinstance(self.student.engine, ReplayEngine):
            raise ValueError("student.engine: the student answers itself, it cannot be replayed")
        if any(isinstance(t.engine, ReplayEngine) for t in self.teachers.candidates) and self.rewards.needs_token_counts:
            raise ValueError("rewards: length and truncation.soft_tokens need token counts; replayed rollouts have none")
        if unknown := set(self.curate.mix) - {source.subject for source in self.problems}:
            raise ValueError(f"curate.mix: no problems are of subject {sorted(unknown)[0]!r}; set problems.subject")
        if self.train.batch_size % self.train.workers:
            raise ValueError("train.batch_size: must be a multiple of train.workers")
        return self
