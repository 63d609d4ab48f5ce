"""`ded-ray grade`: verdicts on a user's file of completions, streamed through the verifier actors."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ded_ray.knobs import BadInput
from ded_ray.machine import start_ray
from ded_ray.recipe import Verify
from ded_ray.user_files import as_answer, as_text, column, read_rows

ROWS_PER_BATCH = 512
ADDED = ("status", "reward", "extracted", "seconds")
NEEDED = ("prompt", "answer", "completion")


class Grading:
    """One actor that grades batches of plain rows."""

    def __init__(self, recipe: Verify, verifier: str) -> None:
        from ded_ray.verify.plan import Verifying

        self._verifying, self._verifier = Verifying(recipe), verifier

    def __call__(self, batch: pa.Table) -> pa.Table:
        rows = [self._grade(row) for row in batch.select(self._columns(batch)).to_pylist()]
        for name, kind in zip(ADDED, (pa.string(), pa.float64(), pa.string(), pa.float64()), strict=True):
            batch = batch.append_column(name, pa.array([row[name] for row in rows], kind))
        return batch

    def _columns(self, batch: pa.Table) -> list[str]:
        return [c for c in ("answer", "completion", "choices", "finish_reason") if c in batch.column_names]

    def _grade(self, row: dict[str, Any]) -> dict[str, Any]:
        if row.get("finish_reason") == "length":
            return {"status": "truncated", "reward": 0.0, "extracted": None, "seconds": 0.0}
        choices = [str(choice) for choice in row.get("choices") or []]
        verdict, seconds = self._verifying.verdict(self._verifier, str(row["completion"]), str(row["answer"]), choices)
        return {"status": verdict.status, "reward": verdict.reward, "extracted": verdict.extracted, "seconds": seconds}


def grade_file(path: Path, out: Path, verifier: str, recipe: Verify | None = None) -> Counter[str]:
    """Grade every row of `path` into the Parquet file `out`, in order; returns how many rows got which status.

    `out` appears only when it is whole. Raises BadInput for a file that cannot be used.
    """
    if out.suffix != ".parquet":
        raise BadInput(f"{out}: --out must name a .parquet file")
    if not out.parent.is_dir():
        raise BadInput(f"{out}: there is no folder {out.parent}; make it first")
    recipe = recipe or Verify(workers=2)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".grade-") as folder:
        paths = _checked_copy(path, Path(folder), verifier)
        start_ray()
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        DataContext.get_current().execution_options.preserve_order = True
        graded = ray.data.read_parquet([str(p) for p in paths], override_num_blocks=len(paths)).map_batches(
            Grading,
            fn_constructor_args=(recipe, verifier),
            batch_size=ROWS_PER_BATCH,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=recipe.workers),
            num_cpus=recipe.num_cpus,
        )
        counts: Counter[str] = Counter()
        writer: pq.ParquetWriter | None = None
        temporary = Path(folder) / "graded.parquet"
        for batch in graded.iter_batches(batch_size=ROWS_PER_BATCH, batch_format="pyarrow"):
            writer = writer or pq.ParquetWriter(temporary, batch.schema)
            writer.write_table(batch)
            counts.update(batch["status"].to_pylist())
        assert writer is not None
        writer.close()
        temporary.replace(out)
    return counts


def _checked_copy(path: Path, folder: Path, verifier: str) -> list[Path]:
    """The file's rows, every one of them checked, as Parquet parts of one batch each, named in their order.

    All parts get one schema, found in a first pass: a column that appears late is there from the start, and one whose
    values are of no common type is carried as JSON text.
    """
    types: dict[str, pa.DataType] = {}
    for rows in _batches(path, verifier):
        for name in dict.fromkeys(name for row in rows for name in row):
            types[name] = _common_type(types.get(name, pa.null()), [row.get(name) for row in rows])
    # Parquet has no type for an object that is empty in every row.
    types = {name: pa.string() if "struct<>" in str(kind) else kind for name, kind in types.items()}
    paths = []
    for number, rows in enumerate(_batches(path, verifier)):
        columns = [_array([row.get(name) for row in rows], kind) for name, kind in types.items()]
        paths.append(folder / f"{number:08d}.parquet")
        pq.write_table(pa.Table.from_arrays(columns, schema=pa.schema(list(types.items()))), paths[-1])
    return paths


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
        values = [value if value is None else value.encode(errors="replace").decode() for value in values]
    return pa.array(values, kind)


def _batches(path: Path, verifier: str) -> Iterator[list[dict[str, Any]]]:
    rows = iter(_checked_rows(path, verifier))
    while batch := list(islice(rows, ROWS_PER_BATCH)):
        yield batch


def _checked_rows(path: Path, verifier: str) -> Iterator[dict[str, Any]]:
    for where, row in read_rows(path):
        for name in NEEDED:
            column(row, name, where)
        if taken := [name for name in ADDED if name in row]:
            raise BadInput(f"{path}: already has a column `{taken[0]}`; rename it, grade adds one of that name")
        # Answers are often numbers in one file and texts in the next: they are compared as text.
        yield {**row, "answer": as_answer(row["answer"], verifier), "completion": as_text(row["completion"])}
