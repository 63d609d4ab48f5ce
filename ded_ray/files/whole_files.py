"""The file system of a path as a library writes to it by itself: a file is there whole or not at all, as in a store.

    RunConfig(storage_path=plain_name(storage), storage_filesystem=whole_files(storage))

Ray Train writes its list of checkpoints over the old one; where the disk is full, or at a kill, neither would be left.
"""

import io
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from pyarrow import PythonFile
from pyarrow.fs import FSSpecHandler, PyFileSystem

from ded_ray.files.folders import arrow_filesystem, is_local, write_whole


def whole_files(path: Path) -> Any:
    """For pyarrow. Files go through memory, so they are to be small."""
    return PyFileSystem(_WholeFiles(LocalFileSystem())) if is_local(path) else arrow_filesystem(path)


class _WholeFiles(FSSpecHandler):
    def open_output_stream(self, path: str, metadata: Any) -> Any:  # noqa: ARG002 (a store has use for it)
        return PythonFile(_WholeFile(Path(path)), mode="w")


class _WholeFile(io.BytesIO):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            write_whole(self.getvalue(), self._path)
        super().close()
