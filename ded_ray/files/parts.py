"""Parquet parts and whole files, written so that a kill at any moment leaves the old file or the new one."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ded_ray.files.folders import dataset, write_table, write_whole
from ded_ray.records import R, schema_of, stable_hash

if TYPE_CHECKING:
    import pyarrow as pa


def write_atomically(path: Path, text: str) -> None:
    """Replace a file of text: whoever reads it sees the old or the new one."""
    write_whole(text.encode(), path)


def write_part(folder: Path, table: "pa.Table") -> Path:
    """Save groups as one Parquet file named after their ids: writing them again replaces the file, never doubles a row."""
    path = folder / f"part-{stable_hash(*table['group_id'].to_pylist())}.parquet"
    write_table(table, path)
    return path


def read_records(path: Path, record: type[R]) -> Iterator[R]:
    """All records of a Parquet file, or of a folder of them, in bounded memory."""
    for batch in dataset(path, schema_of(record)).to_batches():
        for row in batch.to_pylist():
            yield record.from_row(row)
