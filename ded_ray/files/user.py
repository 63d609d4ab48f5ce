"""Reads the files that users bring: JSONL or Parquet, row by row, with errors that name the file, the row and the remedy."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ded_ray.errors import BadInput


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
            yield storable(row) if b"\\ud" in line.lower() else row


def storable(value: Any) -> Any:
    """JSON may name half a surrogate pair, which no text file can hold; each becomes a question mark."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list) else value


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


def as_answer(value: Any, verifier: str, options: tuple[list[str], list[str]] | None = None) -> str:
    """A reference as text. For multiple choice the letter of the right option, where the value is the option's label
    (OpenBookQA, ARC), a letter, or the option's index (MMLU: 0 is A); an option's text stays as it is.
    """
    if verifier != "choice":
        return as_text(value)
    texts, labels = options or ([], [])
    spoken = as_text(value).strip()
    if spoken in labels:
        return letter(labels.index(spoken))
    is_index = type(value) is int or (spoken.isascii() and spoken.isdigit() and spoken not in texts)
    return letter(int(spoken)) if is_index and 0 <= int(spoken) < (len(texts) or 26) else spoken


def read_options(value: Any) -> tuple[list[str], list[str]] | None:
    """(texts, labels) of a list of texts (MMLU), of {"text": [...], "label": [...]} (OpenBookQA, ARC), or of a list of
    {"text", "label"}, or of one of these as JSON text; the labels are A, B, C ... where none are given. None for
    anything else.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        texts, labels = value["text"], value.get("label")
    elif isinstance(value, list) and value and all(isinstance(option, dict) and "text" in option for option in value):
        texts, labels = [option["text"] for option in value], [option.get("label") for option in value]
    elif isinstance(value, list):
        texts, labels = value, None
    else:
        return None
    if not texts or len(texts) > 26 or (labels and len(labels) != len(texts)):
        return None
    if not labels or None in labels:
        labels = [letter(index) for index in range(len(texts))]
    return [str(text) for text in texts], [str(label) for label in labels]


def letter(index: int) -> str:
    return chr(ord("A") + index)
