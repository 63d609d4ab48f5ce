"""Knobs of where problems come from."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from ded_ray.recipe.config import Config


def _known_verifier(name: str) -> str:
    if name not in {"math", "choice", "code"} and not re.fullmatch(r"[\w.]+:\w+", name):
        raise ValueError("name math, choice, code, or a function of your own as module:function")
    return name


VerifierName = Annotated[str, AfterValidator(_known_verifier)]


class Source(Config):
    subject: str = ""
    """What `curate.mix` calls these, such as math or code."""


class TinyProblems(Source):
    """Synthetic problems of the tiny world."""

    kind: Literal["tiny"] = "tiny"
    family: Literal["chain", "reverse", "sort", "larger"] = "chain"
    num_problems: PositiveInt = 100
    difficulty: tuple[PositiveInt, PositiveInt] = (4, 10)
    """Closed range: number of operations (chain) or digits (the others)."""
    seed: int = 0


class FileProblems(Source):
    """Problems from JSON lines or Parquet, one per row. A column may be named `a.b`: field b of the objects in column a."""

    ADDED = frozenset({"skip_missing", "instruction", "options_columns", "date_column", "since", "until"})

    kind: Literal["file"] = "file"
    path: str
    """A file (.jsonl, .ndjson or .json, these also .gz or .zst; .parquet), a folder of such shards, a pattern with *, or a
    data set of the Hugging Face hub: OWNER/NAME, OWNER/NAME:SPLIT or OWNER/NAME:CONFIG:SPLIT, which needs the extra `hub`.
    A relative path is looked up from the recipe's folder."""
    id_column: str | None = None
    """Left out: a `problem_id` column where there is one, else a hash of the prompt."""
    prompt_column: str = "prompt"
    """A text, or chat messages with one of the user's and no other."""
    answer_column: str = "answer"
    """A text or a number. A list is its only member; of mathematics all of its members as one answer."""
    skip_missing: bool = False
    """true: rows without an answer (null, NaN, empty) are dropped as `missing_answer`; false: an error. Our choice."""
    choices_column: str | None = None
    """Multiple choice: the column with the options, as MMLU, OpenBookQA, ARC or MedQA have them. They are shown below the
    prompt as 'A. ...', one per line."""
    options_columns: tuple[str, ...] = ()
    """Multiple choice whose options are a column each, the right one first, as GPQA has them; set `choices_seed` too."""
    choices_seed: int | None = None
    """Shuffle the options of every problem, so that no position is favoured; null keeps their order."""
    answer_after: str | None = None
    """Use only what follows the last occurrence of this text as the answer ('####' for GSM8K as published)."""
    instruction: str = ""
    """Said below every prompt, such as "Put your final answer within \\boxed{}."."""
    date_column: str | None = None
    """A column of dates (2025-01-31 or longer): only rows from `since` on, and before `until`, are read."""
    since: str = ""
    until: str = ""
    verifier: VerifierName = "math"
    """math, choice, code, or a function of your own, `module:function` (verify/own.py). code: the answer is the tests,
    in one of the forms that verify/code/cases.py names; where the answer column is missing, the columns test and
    entry_point (HumanEval as published)."""
    limit: PositiveInt | None = None
    """Read only this many rows, from the start."""
    one_row_per: Literal["problem", "rollout"] = "problem"
    """`rollout`: a file of rollouts that names each problem several times; its rows are folded into problems."""


class BenchmarkProblems(Source):
    """A known benchmark, by the name of its file in evaluate/benchmarks/."""

    kind: Literal["benchmark"] = "benchmark"
    name: str
    path: str | None = None
    """A file of the same columns; null: where the benchmark is published, which needs the extra `hub`."""
    limit: PositiveInt | None = None
    since: str | None = None
    until: str | None = None
    """Of those that have dates."""


Problems = Annotated[TinyProblems | FileProblems | BenchmarkProblems, Field(discriminator="kind")]
"""Sources -> Problem: from the tiny world, the user's JSONL or Parquet file, or a known benchmark."""
