"""Append-only files of JSON lines that survive a kill: the last line may be cut off, and is then left out.

In a store, where nothing can be appended to, such a "file" is a folder with an object for each append.
"""

import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from ded_ray.errors import BadInput
from ded_ray.files.folders import is_local, remove

STORES_MODIFIED = ("LastModified", "mtime", "last_modified")
"""What stores call the time of an object's last change: S3, Google's, Azure's."""


class Journal:
    """A new file of lines in a folder, for one writer. What was appended outlives the process, and on a shared file system
    or in a store the machine."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f".journal-{uuid.uuid4().hex}.jsonl"
        self._file: IO[str] | None = None

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if not is_local(self._path):
            _new_object(self._path).write_text(text)
            return
        self._file = self._file or self._path.open("w")
        self._file.write(text)
        self._file.flush()
        os.fsync(self._file.fileno())

    def delete(self) -> None:
        """Its rows are elsewhere by now."""
        if self._file is not None:
            self._file.close()
        delete_lines(self._path)


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Append to a file that is not kept open; a line that a kill cut off before is removed first."""
    if not is_local(path):
        _new_object(path).write_text(json.dumps(row) + "\n")
        return
    with path.open("a+b") as file:
        _remove_cut_off_line(file)
        file.write(json.dumps(row).encode() + b"\n")


def _new_object(path: Path) -> Path:
    """In the order in which they are made."""
    return path / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"


def _remove_cut_off_line(file: IO[bytes]) -> None:
    """Else what is appended would join it, and both would be lost."""
    file.seek(0)
    whole, newline, last = file.read().rpartition(b"\n")
    if not last:
        return
    try:
        json.loads(last)
        file.write(b"\n")  # whole, but somebody's editor left the newline out
    except ValueError:
        file.truncate(len(whole) + len(newline))


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file. A last line that a kill cut off is left out.

    Raises BadInput for any other line that is not a JSON object: somebody edited the file. Raises FileNotFoundError.
    """
    *lines, unfinished = _text(path).split("\n")
    for number, line in enumerate([*lines, unfinished], start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number > len(lines):
                return  # no newline at its end: the write was cut off
            raise BadInput(f"{path}, line {number}: not as it was written ({error}); delete whole lines only") from error
        if not isinstance(row, dict):
            raise BadInput(f"{path}, line {number}: not as it was written; delete whole lines only")
        yield row


def _text(path: Path) -> str:
    if is_local(path) or path.is_file():
        return path.read_text(errors="replace")
    store: Any = cast(Any, path)
    objects = store.fs.cat(store.fs.find(store.path))  # many at a time
    if not objects:
        raise FileNotFoundError(str(path))
    return "".join(objects[name].decode(errors="replace") for name in sorted(objects))


def delete_lines(path: Path) -> None:
    """A file of lines; nothing happens when it is not there."""
    if is_local(path):
        path.unlink(missing_ok=True)
    else:
        remove(path)


def modified(path: Path) -> float:
    """When a file of lines, or any other, was last written to (Unix time); now, for one that is not there."""
    try:
        if is_local(path) or path.is_file():
            return path.stat().st_mtime
        return max(int(each.name.partition("-")[0]) for each in path.iterdir()) / 1e9
    except (FileNotFoundError, ValueError):
        return time.time()


def all_modified(folder: Path) -> dict[Path, float]:
    """The same of all that is right inside a folder. Of a store by one listing, however much there is."""
    if is_local(folder):
        return {path: modified(path) for path in folder.iterdir()}
    store: Any = folder
    newest: dict[str, float] = {}
    for name, info in store.fs.find(store.path, detail=True).items():
        first, _, inside = name.removeprefix(f"{store.path}/").partition("/")
        if inside:
            when = int(inside.partition("-")[0]) / 1e9
        else:
            when = next(info[key].timestamp() for key in STORES_MODIFIED if key in info)
        newest[first] = max(when, newest.get(first, 0.0))
    return {folder / name: when for name, when in newest.items()}
