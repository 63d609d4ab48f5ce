"""Append-only files of JSON lines that survive a kill: the last line may be cut off, and is then left out."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from ded_ray.errors import BadInput


def append_lines(file: IO[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write each row as one line and hand all of it to the operating system."""
    file.writelines(json.dumps(row) + "\n" for row in rows)
    file.flush()


def append_line(path: Path, row: dict[str, Any]) -> None:
    """The same for one row of a file that is not kept open; a line that a kill cut off before is removed first."""
    with path.open("a+b") as file:
        _remove_cut_off_line(file)
        file.write(json.dumps(row).encode() + b"\n")


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
    *lines, unfinished = path.read_text(errors="replace").split("\n")
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
