"""Reads the files that users bring: JSONL or Parquet, row by row, with errors that name the file, the row and the remedy."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ded_ray.knobs import BadInput


def read_rows(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ('FILE, row N', row) for every row, in order and in bounded memory.

    Raises BadInput for a file that is missing, empty, cut off in the middle, or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    if path.suffix not in {".jsonl", ".parquet"}:
        raise BadInput(f"{path}: neither .jsonl nor .parquet; convert it to one of them")
    number = 0
    for number, row in enumerate(_read_jsonl(path) if path.suffix == ".jsonl" else _read_parquet(path), start=1):
        yield f"{path}, row {number}", row
    if number == 0:
        raise BadInput(f"{path}: empty, there is not one row in it")


def _read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise BadInput(f"{path}, line {number}: not JSON ({error}); was the file cut off?") from error
            if not isinstance(row, dict):
                raise BadInput(f"{path}, line {number}: a row must be a JSON object")
            yield _storable(row) if b"\\ud" in line.lower() else row


def _storable(value: Any) -> Any:
    """JSON may name half a surrogate pair, which no text file can hold; each becomes a question mark."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{path}: not a whole Parquet file ({reason}); was its writing cut off?") from error


def column(row: dict[str, Any], name: str, where: str, knob: str = "") -> Any:
    """The row's value in a column. Raises BadInput when it is missing or null, naming the columns that are there."""
    if row.get(name) is None:
        problem = "null in column" if name in row else "no column"
        remedy = f"; set {knob} to one of: " if knob else "; there are: "
        raise BadInput(f"{where}: {problem} `{name}`{remedy}{', '.join(map(str, row)) or 'none'}")
    return row[name]


def as_text(value: Any) -> str:
    """A text as it is, a number as Python writes it, an object or a list as JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def as_answer(value: Any, verifier: str) -> str:
    """A reference as text. For multiple choice a whole number is the index of the right option (MMLU): 0 is A."""
    if verifier == "choice" and type(value) is int and 0 <= value < 26:
        return chr(ord("A") + value)
    return as_text(value)
