"""Every row that travels, typed once. Data goes Problem -> Group (with its Rollouts) -> Example.

The unit of work is the group: one problem with all its rollouts in one row, because advantage, diversity and weight
are relative to the group. The Arrow schemas are derived from these classes and given to every table that is written,
so that a block whose column happens to be all None keeps its type.

Letters for sizes, in names such as `labels_BT` and in comments, everywhere in this package:

    P  problems                     B  sequences of a batch
    G  rollouts of a group          T  tokens of a sequence
    K  rollouts kept of a group     V  tokens of a vocabulary

A real row, from `curated/` of the quickstart, cut down to two of its eight rollouts:

    Group(group_id="0b6f3a5c1d2e4f70", problem_id="chain-11-5", prompt="Left to right, mod 10: 7+5*3-8", answer="8",
          verifier="math", source="tiny/chain", choices=[], subject="", student_pass_rate=0.25, model="tiny/careful",
          rollouts=[Rollout(index=0, completion="7+5=2 2*3=6 6-8=8 \\boxed{8}", num_tokens=31, finish_reason="stop",
                            seed=98211, mean_logprob=-0.04, status="correct", extracted="8", reward=1.0,
                            advantage=0.38, weight=1.17, pick_rank=0),
                    Rollout(index=1, completion="7+5=2 2*3=6 6-8=2 \\boxed{2}", num_tokens=31, finish_reason="stop",
                            seed=98212, mean_logprob=-0.31, status="wrong", extracted="2", reward=0.0,
                            advantage=-2.65, weight=0.06, dropped_because="wrong")])
"""

import dataclasses
import hashlib
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

Status = Literal[
    "correct",  # the announced answer equals the reference, or the program passes every test
    "wrong",  # an announced answer that does not
    "no_answer",  # the completion ended and announces no answer
    "truncated",  # the completion was cut off at the token limit: finish_reason is "length"
    "timed_out",  # checking the answer took too long: no evidence against it
    "crashed",  # the verifier's child died or failed on it: no evidence either
    "unverifiable",  # nothing here can check it: the reference cannot be read, or no walls can be built for a program
]
CHECKED: frozenset[Status] = frozenset({"correct", "wrong", "no_answer", "truncated"})
"""Statuses that count in a group's statistics. The other three mean "could not check" and stay out of them."""

FinishReason = Literal[
    "stop",  # the model ended it
    "length",  # the token limit ended it
    "other",  # neither: the prompt was refused, or the reason is not known here; never trained on
]

PROBLEM_COLUMNS = ("problem_id", "prompt", "answer", "verifier", "source", "choices", "subject", "student_pass_rate")
"""What a group repeats of its problem, so that no later step needs a join."""


class Record:
    """What all rows can do: go to and from the plain dictionaries that Arrow and Ray Data carry."""

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Build from a row; columns that the record does not have are left behind."""
        names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in row.items() if name in names})

    def to_row(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload]


R = TypeVar("R", bound=Record)


@dataclass(slots=True, kw_only=True)
class Problem(Record):
    """One question with a checkable answer."""

    problem_id: str
    prompt: str  # what the user asks, without chat template
    answer: str  # the reference, in the verifier's own form
    verifier: str = "math"  # math | choice | code | MODULE:FUNCTION
    source: str = ""  # where it came from: a file's path, or tiny/FAMILY
    choices: list[str] = field(default_factory=list)  # choice only: the options, in the order that the prompt shows
    subject: str = ""  # what corpora are mixed by: `problems.subject` of the recipe
    student_pass_rate: float | None = None  # [0, 1]; None until measured
    student_mean_tokens: float | None = None  # of its completions: a guess at how long the teacher's will be
    dropped_because: str | None = None  # None: kept


@dataclass(slots=True, kw_only=True)
class Rollout(Record):
    """One completion of a problem; each room fills in its own part."""

    index: int  # 0 ... G-1 within its group
    completion: str
    num_tokens: int  # generated tokens, the end token included; 0 where the engine does not know
    finish_reason: FinishReason
    seed: int
    mean_logprob: float | None = None  # nats per generated token; None if the engine does not say
    # verify
    status: Status | None = None
    extracted: str | None = None  # the answer that was found in the completion
    isolation: str | None = None  # code only: the walls that the program ran behind
    seconds: float | None = None  # what the verdict took
    rule_status: Status | None = None  # what the rules said, where a judge was asked as well
    judge_status: Status | None = None  # what the judge said: correct, wrong, or unverifiable for nothing readable
    reward: float | None = None  # None unless checked
    # curate
    surprisal: float | None = None  # mean nats per token under the student; None unless its RSR was asked for
    rsr: float | None = None  # Rank-Surprisal Ratio under the student (arXiv 2601.14249); lower is better
    advantage: float | None = None
    weight: float | None = None  # the loss weight; below 0 only with `weights.map: signed`
    pick_rank: int | None = None  # 0, 1, ... in the order in which diversity picked what is kept
    dropped_because: str | None = None  # None: kept


@dataclass(slots=True, kw_only=True)
class Group(Record):
    """One problem x one model: the problem's columns, and all rollouts that this model gave."""

    group_id: str
    problem_id: str
    prompt: str
    answer: str
    verifier: str
    source: str
    choices: list[str]
    subject: str
    student_pass_rate: float | None
    model: str
    rollouts: list[Rollout]

    @classmethod
    def of(cls, problem: Problem, group_id: str, model: str, rollouts: list[Rollout]) -> "Group":
        columns = {name: getattr(problem, name) for name in PROBLEM_COLUMNS}
        return cls(group_id=group_id, model=model, rollouts=rollouts, **columns)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Group":
        rollouts = [Rollout.from_row(r) for r in row["rollouts"]]
        return super(Group, cls).from_row({**row, "rollouts": rollouts})

    @property
    def checked(self) -> list[Rollout]:
        """The rollouts that got a verdict: only these count in the group's statistics."""
        return [r for r in self.rollouts if r.status in CHECKED]

    @property
    def pass_rate(self) -> float | None:
        """Correct over checked rollouts, in [0, 1]; None when no rollout could be checked."""
        checked = self.checked
        return sum(r.status == "correct" for r in checked) / len(checked) if checked else None

    @property
    def all_verdicts_agree(self) -> bool:
        """Whether all checked rollouts are correct, or none is; False when no rollout could be checked."""
        return self.pass_rate in {0.0, 1.0}


@dataclass(slots=True, kw_only=True)
class Example(Record):
    """One sequence to train on: the prompt, the completion, and the weight of its loss."""

    problem_id: str
    group_id: str
    index: int  # the rollout's index within its group
    prompt: str
    completion: str
    reward: float
    advantage: float
    weight: float


def examples_of(group: Group) -> list[Example]:
    """What is trained on: one example per kept rollout of a curated group."""
    return [
        Example(
            problem_id=group.problem_id,
            group_id=group.group_id,
            index=rollout.index,
            prompt=group.prompt,
            completion=rollout.completion,
            reward=rollout.reward or 0.0,
            advantage=rollout.advantage or 0.0,
            weight=rollout.weight or 0.0,
        )
        for rollout in group.rollouts
        if rollout.dropped_because is None
    ]


def stable_hash(*parts: object) -> str:
    """16 hexadecimal digits, the same on every machine and in every process."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:16]


def _arrow_type(hint: Any) -> "pa.DataType":
    import pyarrow as pa

    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _arrow_type(next(a for a in arguments if a is not type(None)))
    if origin is Literal:
        return pa.string()
    if origin is list:
        return pa.list_(_arrow_type(arguments[0]))
    if dataclasses.is_dataclass(hint):
        return pa.struct(list(schema_of(typing.cast(type[Record], hint))))
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[hint]


def schema_of(record: type[Record]) -> "pa.Schema":
    """The Arrow schema of a record, one column per field in the order of the class."""
    import pyarrow as pa

    hints = typing.get_type_hints(record)
    return pa.schema([(f.name, _arrow_type(hints[f.name])) for f in dataclasses.fields(record)])  # type: ignore[arg-type]


def to_table(records: Sequence[Record] | Iterable[Record], record: type[Record]) -> "pa.Table":
    """Records as one Arrow table with exactly the schema of their class; no records make an empty table."""
    import pyarrow as pa

    return pa.Table.from_pylist([r.to_row() for r in records], schema=schema_of(record))
