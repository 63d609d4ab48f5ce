"""Rows of Parquet, and of the Arrow files that Hugging Face's `datasets` writes; only the columns that are asked for."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ded_ray.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 512
BATCH_BYTES = 128 << 20
"""About the most that a batch takes: pyarrow cannot read 2 GB of a nested column at once, and memory is not endless."""


def read_arrow(path: Path, columns: Collection[str] | None) -> Iterator[dict[str, Any]]:
    """The rows in order, in bounded memory. Every column is a key; those that were not asked for are None."""
    names = column_names(path)
    for batch in read_batches(path, columns):
        with unreadable(path):
            rows = batch.to_pylist()
        for row in rows:
            yield dict.fromkeys(names) | row


def column_names(path: Path) -> list[str]:
    """Raises BadInput for a file that is none, and for names that occur twice."""
    names: list[str] = schema_of_file(path).names
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"{path}: two columns are named `{twice[0]}`; rename one of them")
    return names


def schema_of_file(path: Path) -> "pa.Schema":
    import pyarrow as pa
    import pyarrow.parquet as pq

    with unreadable(path):
        if path.suffix.lower() == ".parquet":
            return pq.read_schema(path)
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_stream(file).schema


def read_batches(path: Path, columns: Collection[str] | None = None) -> Iterator["pa.RecordBatch"]:
    """Batches of at most BATCH_ROWS rows and about BATCH_BYTES, with the columns that are there. Raises BadInput."""
    names = [name for name in column_names(path) if columns is None or name in columns]
    batches = _parquet(path, names) if path.suffix.lower() == ".parquet" else _ipc_stream(path, names)
    while True:
        with unreadable(path):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _parquet(path: Path, names: list[str]) -> Iterator["pa.RecordBatch"]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        if not names:  # without columns there are no rows to count, and so no error to name one
            names = file.schema_arrow.names[:1]
        groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
        widest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=1)
        yield from file.iter_batches(batch_size=max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, widest))), columns=names)


def _ipc_stream(path: Path, names: list[str]) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        for batch in pa.ipc.open_stream(file):
            part = batch.select(names or batch.schema.names[:1])
            for start in range(0, part.num_rows, BATCH_ROWS):
                yield part.slice(start, BATCH_ROWS)


@contextmanager
def unreadable(path: str | Path) -> Iterator[None]:
    """Turns whatever Arrow says of a file into BadInput."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowNotImplementedError, pa.ArrowCapacityError, OverflowError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: holds what cannot be read here ({_in_short(error)}); write the column anew") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        kind = "Arrow" if str(path).lower().endswith(".arrow") else "Parquet"
        raise BadInput(f"{path}: not a whole {kind} file ({_in_short(error)}); was its writing cut off?") from error


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
