"""What `ded-ray grade` is given: every row checked before the first verdict, then cut into Parquet parts in their order."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ded_ray.errors import BadInput
from ded_ray.files.code_tests import with_function_name
from ded_ray.files.user import as_answer, as_text, column, read_options, read_rows

ROWS_PER_PART = 512
NEEDED = ("prompt", "answer", "completion")
LABELS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def as_label(value: Any) -> bool | None:
    """True or False for a bool, 0, 1, "true" or "false"; None for anything else."""
    return LABELS.get(str(value).strip().lower())


@dataclass(frozen=True)
class Checks:
    """What every row must pass."""

    path: Path  # .jsonl or .parquet
    verifier: str
    needed: tuple[str, ...]  # columns that must hold something
    added: tuple[str, ...]  # names that must be free
    label: str  # a column that must hold labels; '' for none

    def check(self, where: str, row: dict[str, Any]) -> None:
        for name in self.needed:
            column(row, name, where)
        if taken := [name for name in self.added if name in row]:
            raise BadInput(f"{self.path}: already has a column `{taken[0]}`; rename it, grade adds one of that name")
        if "num_tokens" in self.needed and (type(row["num_tokens"]) is not int or row["num_tokens"] < 0):
            raise BadInput(
                f"{where}: column `num_tokens` holds {row['num_tokens']!r:.60}; rewards of length need whole numbers"
            )
        if self.label and as_label(column(row, self.label, where, "--label")) is None:
            given = f"column `{self.label}` holds {row[self.label]!r:.60}"
            raise BadInput(f"{where}: {given}; --label needs true and false, or 1 and 0")

    def answer(self, row: dict[str, Any]) -> str:
        answer = as_answer(row["answer"], self.verifier, read_options(row["choices"]) if row.get("choices") else None)
        return with_function_name(answer, row) if self.verifier == "code" else answer


def checked_parts(checks: Checks, folder: Path) -> int:
    """Write the file's rows into `folder` as parts of ROWS_PER_PART, every one checked; returns how many parts.

    Columns keep their Arrow types where they have some (Parquet), but for answer and completion, which become text. Of
    JSONL all parts get one schema, found in a first pass: a column that appears late is there from the start, and one
    whose values are of no common type is carried as JSON text. Raises BadInput with the file, the row and the remedy.
    """
    tables = _parquet_parts if checks.path.suffix == ".parquet" else _jsonl_parts
    number = 0
    for number, table in enumerate(tables(checks), start=1):
        pq.write_table(table, folder / f"{number:08d}.parquet")
    return number


def _parquet_parts(checks: Checks) -> Iterator[pa.Table]:
    checks.check(*next(read_rows(checks.path)))  # a file that is none, and missing columns
    watched, number = {*checks.needed, checks.label, "choices", "metadata"}, 0
    with pq.ParquetFile(checks.path) as file:
        for batch in file.iter_batches(batch_size=ROWS_PER_PART):
            table = pa.Table.from_batches([batch])
            rows = table.select([name for name in table.column_names if name in watched]).to_pylist()
            for row in rows:
                number += 1
                checks.check(f"{checks.path}, row {number}", row)
            answers = [checks.answer(row) for row in rows]
            completions = [as_text(row["completion"]) for row in rows]
            for name, texts in (("answer", answers), ("completion", completions)):
                table = table.set_column(table.column_names.index(name), name, pa.array(texts, pa.string()))
            yield table


def _jsonl_parts(checks: Checks) -> Iterator[pa.Table]:
    types: dict[str, pa.DataType] = {}
    for rows in _batches(checks):
        for name in dict.fromkeys(name for row in rows for name in row):
            types[name] = _common_type(types.get(name, pa.null()), [row.get(name) for row in rows])
    # Parquet has no type for an object that is empty in every row.
    types = {name: pa.string() if "struct<>" in str(kind) else kind for name, kind in types.items()}
    for rows in _batches(checks):
        columns = [_array([row.get(name) for row in rows], kind) for name, kind in types.items()]
        yield pa.Table.from_arrays(columns, schema=pa.schema(list(types.items())))


def _batches(checks: Checks) -> Iterator[list[dict[str, Any]]]:
    rows = iter(_checked_rows(checks))
    while batch := list(islice(rows, ROWS_PER_PART)):
        yield batch


def _checked_rows(checks: Checks) -> Iterator[dict[str, Any]]:
    for where, row in read_rows(checks.path):
        checks.check(where, row)
        # Answers are often numbers in one file and texts in the next: they are compared as text.
        yield {**row, "answer": checks.answer(row), "completion": as_text(row["completion"])}


def _common_type(known: pa.DataType, values: list[Any]) -> pa.DataType:
    """The type that holds both what is known and these values; text where there is none."""
    try:
        found = pa.array(values).type
        fields = [pa.schema([("column", kind)]) for kind in (known, found)]
        return pa.unify_schemas(fields, promote_options="permissive").field("column").type
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return pa.string()


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        values = [value if value is None or isinstance(value, str) else json.dumps(value, default=str) for value in values]
    return pa.array(values, kind)
