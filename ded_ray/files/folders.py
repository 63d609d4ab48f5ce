"""Folders here or in a store: the one file that knows the difference.

    folder = folder_at("s3://bucket/runs/mine")                  # or "runs/mine", gs://..., file:///...
    write_table(table, folder / "curated" / "part.parquet")
    dataset(folder / "curated").to_table()

What `folder_at` returns answers to what a pathlib.Path answers (universal_pathlib, for everything that fsspec knows), so
that all code calls it a Path. In a store nothing is renamed and nothing appended to: an object is there whole or not at
all, and a stage counts when its manifest is there.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ded_ray.errors import BadInput
from ded_ray.models.download import local_copy, store_options

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""The extra of ded_ray that brings what a protocol needs."""


def folder_at(where: str | Path) -> Path:
    """A path of this machine, or a URL of a store. Raises BadInput for a protocol that nobody here speaks."""
    text = str(where)
    protocol, separator, _ = text.partition("://")
    if not separator:
        return Path(where) if isinstance(where, str) else where
    from upath import UPath

    try:
        path = UPath(text, **store_options(text))
        local = path.fs.protocol  # makes the file system, and so imports what it needs
    except (ImportError, ValueError) as error:
        remedy = f"pip install 'ded-ray[{EXTRAS[protocol]}]'" if protocol in EXTRAS else "use a path, s3:// or gs://"
        raise BadInput(f"{text}: {protocol}:// needs a library that is not here; {remedy}") from error
    return Path(path.path) if "file" in local else cast(Path, path)


def is_local(path: Path) -> bool:
    return isinstance(path, Path)


def make(folder: Path) -> Path:
    """The folder, made if it is one of this machine. In a store there are only objects."""
    if is_local(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def remove(folder: Path) -> None:
    """A folder with all that is in it; nothing happens when it is not there."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    store: Any = folder
    try:
        store.fs.rm(store.path, recursive=True)
    except FileNotFoundError:
        return


def upload(local: Path, folder: Path) -> None:
    """Copy what is in a folder of this machine to a folder of a store."""
    store: Any = folder
    store.fs.put(f"{local}/", f"{store.path}/", recursive=True)


def on_this_machine(folder: Path) -> Path:
    """The folder itself, or a copy of one of a store, made once per machine."""
    return folder if is_local(folder) else local_copy(str(folder))


def dataset(paths: Path | list[Path], schema: "pa.Schema | None" = None) -> "pads.Dataset":
    """The Parquet files of a folder, or these."""
    import pyarrow.dataset as pads

    some = paths[0] if isinstance(paths, list) else paths
    names = [plain_name(path) for path in paths] if isinstance(paths, list) else plain_name(paths)
    return pads.dataset(names, schema=schema, filesystem=arrow_filesystem(some), format="parquet")


def write_whole(data: bytes | memoryview, path: Path) -> None:
    """Replace a file so that a reader, or a kill at any moment, sees the old or the new one, never a part."""
    if not is_local(path):
        path.write_bytes(data)
        return
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # where the disk is full it would keep what room there is


def read_whole(path: Path) -> bytes:
    """What is in a file that another process may replace meanwhile. A store's file object asks twice, and fails when the
    second answer is of a newer object; this asks once."""
    return path.read_bytes() if is_local(path) else cast(Any, path).fs.cat_file(cast(Any, path).path)


def write_table(table: "pa.Table", path: Path, **options: Any) -> None:
    """The same of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, **options)
    write_whole(memoryview(buffer.getvalue()), path)


@contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """A folder of this machine, for code that writes to no other: the folder itself, or one that is copied to the store
    when the block is over."""
    if is_local(folder):
        yield make(folder)
        return
    with tempfile.TemporaryDirectory(prefix="ded_ray_") as here:
        yield Path(here)
        upload(Path(here), folder)


def arrow_filesystem(path: Path) -> Any:
    """Of a store, for pyarrow, Ray Data and Ray Train; None: this machine's."""
    if is_local(path):
        return None
    from pyarrow.fs import PyFileSystem

    from ded_ray.files.ranges import Ranges

    return PyFileSystem(Ranges(cast(Any, path).fs))


def plain_name(path: Path) -> str:
    """The path as it is called inside its file system: of a store without the protocol."""
    return str(path) if is_local(path) else cast(Any, path).path
