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
from ded_ray.files.arrow_rows import read_batches, schema_of_file, unreadable
from ded_ray.files.code_tests import with_function_name
from ded_ray.files.conversations import completions, prompt_of
from ded_ray.files.user import data_files, is_arrow, read_rows
from ded_ray.files.values import as_answer, cell, column, each_sample, has_column, is_missing, present, read_options
from ded_ray.recipe import Grade

ROWS_PER_PART = 512
SAMPLE = "sample"
"""The column that numbers the samples of a row, where a row has several."""

REPLACED = ("prompt", "answer", "completion")
"""What stands as text in every part, whatever it was."""

PER_SAMPLE = {"finish_reason": pa.string(), "num_tokens": pa.int64()}
"""What a file may give once for a row, or as a list with one for every sample, as it may a label."""

IN_FILE = "_in_file"
"""Ends the names of columns that are called like what grade adds."""

LABELS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}

Sample = dict[str, Any]
"""What a verdict is made of, by the names that grade gives: prompt, answer, completion; finish_reason, num_tokens and the
label where the file has them."""


def as_label(value: Any) -> bool | None:
    """True or False for a bool, 0, 1, "true" or "false"; None for anything else."""
    return LABELS.get(str(value).strip().lower())


@dataclass(frozen=True)
class GradeInput:
    """A file of completions, and how its rows are read."""

    path: str | Path
    config: Grade
    added: tuple[str, ...]  # the names of what grade adds
    label: str  # a column that must hold labels; '' for none

    @property
    def columns(self) -> list[str]:
        """All that a verdict needs."""
        names = [self.config.column(name) for name in ("prompt", "answer", "completion", "choices", "finish_reason")]
        counts = [self.config.column("num_tokens")] if self.config.rewards.needs_token_counts else []
        metadata = ["metadata"] if self.config.verifier == "code" else []
        return [*names, *counts, *metadata, *filter(None, [self.label])]

    def samples(self, where: str, row: dict[str, Any]) -> list[Sample]:
        """The samples of one row, at least one. Raises BadInput with the row and the remedy."""
        self._check_names(row)
        named = self.config.column
        prompt = prompt_of(column(row, named("prompt"), where), where, named("prompt"))
        texts = completions(present(row, named("completion"), where), where, named("completion"))
        options = self._options(where, row)
        answer = present(row, named("answer"), where)
        if is_missing(answer):
            answer = None
        else:
            answer = as_answer(answer, self.config.verifier, options, where=where, name=named("answer"))
            answer = with_function_name(answer, row) if self.config.verifier == "code" else answer
        shared = {"prompt": prompt, "answer": answer, "choices": options and options[0]}
        samples: list[Sample] = [{**shared, "completion": text} for text in texts]
        if has_column(row, named("finish_reason")):
            self._fill(samples, "finish_reason", cell(row, named("finish_reason")), where)
        if self.config.rewards.needs_token_counts:
            self._fill(samples, "num_tokens", present(row, named("num_tokens"), where), where)
        if self.label:
            self._fill(samples, self.label, column(row, self.label, where, "--label"), where)
        return samples

    def _check_names(self, row: dict[str, Any]) -> None:
        if taken := [name for name in self.added if name in row and (name + IN_FILE in row or name == self.label)]:
            raise BadInput(f"{self.path}: already has a column `{taken[0]}`; rename it, grade adds one of that name")
        for name, source in self.config.columns.items():
            if name != source and name in row and name not in self.config.columns.values():
                raise BadInput(f"{self.path}: `{source}` is to be `{name}`, but there is a column `{name}`; rename that one")

    def _fill(self, samples: list[Sample], name: str, value: Any, where: str) -> None:
        """Give every sample its own of what may be a list with one for each."""
        source = self.config.column(name)
        for sample, own in zip(samples, each_sample(value, len(samples), where, source), strict=True):
            if name == self.label:
                sample[name] = as_label(own)
                if sample[name] is None:
                    raise BadInput(f"{where}: column `{source}` holds {own!r:.60}; --label needs true and false, or 1 and 0")
            else:
                sample[name] = own.get("type") if isinstance(own, dict) else own  # SGLang's reasons are objects
            if name == "num_tokens" and (type(own) is not int or own < 0):
                raise BadInput(f"{where}: column `{source}` holds {own!r:.60}; rewards of length need whole numbers")

    def _options(self, where: str, row: dict[str, Any]) -> tuple[list[str], list[str]] | None:
        name = self.config.column("choices")
        value = cell(row, name)
        options = None if self.config.verifier != "choice" or is_missing(value) else read_options(value)
        if options is None and self.config.verifier == "choice" and not is_missing(value):
            raise BadInput(f"{where}: `{name}` is not a list of 1 to 26 options; make it one")
        return options


def checked_parts(given: GradeInput, folder: Path) -> int:
    """Write the rows into `folder` as parts of at most ROWS_PER_PART rows, every one checked; returns how many rows.

    A row with several samples becomes as many rows, told apart by the column `sample`. Columns keep their Arrow types
    where they have some (Parquet), but for prompt, answer, completion and finish_reason, which are texts, and the label.
    Of JSON all parts get one schema, found in a first pass: a column that appears late is there from the start, and one
    whose values are of no common type is carried as JSON text. Raises BadInput with the file, the row and the remedy.
    """
    several, taken = False, False
    for where, row in read_rows(given.path, given.columns):
        several |= len(given.samples(where, row)) > 1
        taken |= SAMPLE in row
    if several and taken:
        raise BadInput(f"{given.path}: rows with several completions get a column `{SAMPLE}`; rename the file's own")
    carried = _arrow_batches if is_arrow(data_files(given.path)[0]) else _json_batches
    number, num_rows = 0, 0
    for rows, table in carried(given):
        samples = [given.samples(where, row) for where, row in rows]
        table = _with_samples(table, samples, given, several=several)
        num_rows += table.num_rows
        for start in range(0, table.num_rows, ROWS_PER_PART):
            number += 1
            with unreadable(given.path):
                pq.write_table(table.slice(start, ROWS_PER_PART), folder / f"{number:08d}.parquet")
    return num_rows


def _with_samples(table: pa.Table, samples: list[list[Sample]], given: GradeInput, *, several: bool) -> pa.Table:
    """The carried columns with what the samples hold in the place of what they were read from, one row per sample."""
    flat = [sample for each in samples for sample in each]
    if several:
        places = [place for place, each in enumerate(samples) for _ in each]
        table = table.take(pa.array(places, pa.int64()))
    types = {**dict.fromkeys(REPLACED, pa.string()), **{n: kind for n, kind in PER_SAMPLE.items() if n in flat[0]}}
    if given.label:
        types[given.label] = pa.bool_()
    if given.config.column("choices") != "choices" and given.config.verifier == "choice":
        types["choices"] = pa.list_(pa.string())
    table = table.rename_columns([name + IN_FILE if name in given.added else name for name in table.column_names])
    sources = {given.config.column(name) for name in types} - types.keys()
    table = table.select([name for name in table.column_names if name not in sources])
    for name, kind in types.items():
        values = _array([sample.get(name) for sample in flat], kind)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, values)
        else:
            table = table.append_column(name, values)
    if several:
        table = table.append_column(SAMPLE, pa.array([i for each in samples for i in range(len(each))], pa.int64()))
    return table


Carried = Iterator[tuple[list[tuple[str, dict[str, Any]]], pa.Table]]
"""Batches of ('FILE, row N', what is needed of it), each with a table of all that is carried through."""


def _arrow_batches(given: GradeInput) -> Carried:
    files = data_files(given.path)
    schema = _common_schema(files, given)
    outer = {name for column in given.columns for name in (column, column.partition(".")[0])}
    missing = dict.fromkeys(outer.intersection(schema.names))
    for file in files:
        number = 0
        for batch in filter(len, read_batches(file)):
            with unreadable(file):
                table = pa.Table.from_batches([batch])
                rows = table.select([name for name in table.column_names if name in outer]).to_pylist()
                table = _in_schema(table, schema)
            # A column that some file has is there in all of them.
            yield [(f"{file}, row {number + i}", missing | row) for i, row in enumerate(rows, start=1)], table
            number += len(rows)


def _common_schema(files: list[Path], given: GradeInput) -> pa.Schema:
    """Of what is carried from all files. Raises BadInput where a column is of two kinds."""
    replaced = {given.config.column(name) for name in REPLACED}
    schemas = []
    for file in files:
        schema = schema_of_file(file)
        schemas.append(pa.schema([field for field in schema if field.name not in replaced or len(files) == 1]))
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{given.path}: its files have columns of different types ({reason}); write them alike") from error


def _in_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [table[name] if name in table.column_names else pa.nulls(table.num_rows) for name in schema.names]
    return pa.table(columns, names=schema.names).cast(schema)


def _json_batches(given: GradeInput) -> Carried:
    types: dict[str, pa.DataType] = {}
    for rows in _batches(given):
        for name in dict.fromkeys(name for _, row in rows for name in row):
            types[name] = _common_type(types.get(name, pa.null()), [row.get(name) for _, row in rows])
    # Parquet has no type for an object that is empty in every row.
    types = {name: pa.string() if "struct<>" in str(kind) else kind for name, kind in types.items()}
    for rows in _batches(given):
        columns = [_array([row.get(name) for _, row in rows], kind) for name, kind in types.items()]
        # A column that some row has is there in all of them, as it is in Parquet.
        needed = [(where, {name: row.get(name) for name in types}) for where, row in rows]
        yield needed, pa.Table.from_arrays(columns, schema=pa.schema(list(types.items())))


def _batches(given: GradeInput) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    rows = read_rows(given.path)
    while batch := list(islice(rows, ROWS_PER_PART)):
        yield batch


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
