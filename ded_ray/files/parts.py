"""Parquet parts and whole files, written so that a kill at any moment leaves the old file or the new one."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ded_ray.records import R, schema_of, stable_hash

if TYPE_CHECKING:
    import pyarrow as pa


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that a reader, or a kill at any moment, sees the old or the new text, never a part."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(text)
    os.replace(temporary, path)


def write_part(folder: Path, table: "pa.Table") -> Path:
    """Save groups as one Parquet file named after their ids: writing them again replaces the file, never doubles a row."""
    import pyarrow.parquet as pq

    name = f"part-{stable_hash(*table['group_id'].to_pylist())}.parquet"
    temporary = folder / f".{name}.{uuid.uuid4().hex}"
    pq.write_table(table, temporary)
    os.replace(temporary, folder / name)
    return folder / name


def read_records(path: Path, record: type[R]) -> Iterator[R]:
    """All records of a Parquet file, or of a folder of them, in bounded memory."""
    import pyarrow.dataset as pads

    for batch in pads.dataset(path, schema=schema_of(record), format="parquet").to_batches():
        for row in batch.to_pylist():
            yield record.from_row(row)
