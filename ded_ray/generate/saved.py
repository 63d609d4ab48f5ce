"""Groups on disk: every one is in a journal before anyone else hears of it, then in a Parquet part, and never twice.

An actor appends each group to a journal of its own, a line of JSON, and makes a part of it every so often. A kill
costs no more than the line that was being written.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from ded_ray.records import Group, read_records, to_table, write_part

GROUPS_PER_PART = 64

CLOCKS_APART_SECONDS = 60
"""The clocks of machines and of a shared file system differ by less."""


def as_number(group_id: str) -> int:
    """An id of 16 hexadecimal digits as 8 bytes: ten million of them take 80 MB."""
    return int(group_id, 16)


class Ids:
    """A set of ids that only grows, 8 bytes each: ten million take 80 MB, not the gigabyte of a set of numbers."""

    def __init__(self) -> None:
        self._sorted, self._recent = np.empty(0, np.uint64), set[int]()

    def add(self, number: int) -> None:
        self._recent.add(number)
        if len(self._recent) >= 100_000:
            self._sorted = np.union1d(self._sorted, np.fromiter(self._recent, np.uint64))
            self._recent.clear()

    def __contains__(self, number: int) -> bool:
        place = np.searchsorted(self._sorted, np.uint64(number))
        return number in self._recent or bool(place < len(self._sorted) and self._sorted[place] == number)


class Saver:
    """Saves one actor's groups in `folder`. Safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._lock = folder, threading.Lock()
        self._waiting: list[Group] = []
        self._journal: IO[str] | None = None

    def save(self, groups: list[Group]) -> None:
        """When this returns the groups outlive the process, and on a shared file system the machine."""
        with self._lock:
            if not groups:
                return
            self._waiting += groups
            if len(self._waiting) >= GROUPS_PER_PART:
                write_part(self._folder, to_table(self._waiting, Group))
                self._waiting = []
                if self._journal is not None:
                    self._journal.close()
                    Path(self._journal.name).unlink(missing_ok=True)
                    self._journal = None
                return
            if self._journal is None:
                self._journal = (self._folder / f".journal-{uuid.uuid4().hex}.jsonl").open("w")
            self._journal.writelines(json.dumps(group.to_row()) + "\n" for group in groups)
            self._journal.flush()
            os.fsync(self._journal.fileno())


def read_journal(path: Path) -> list[Group]:
    """All whole lines of a journal; the last may have been cut by a kill."""
    lines = path.read_text(errors="replace").split("\n")
    return [Group.from_row(json.loads(line)) for line in lines[:-1]]


@dataclass(frozen=True)
class Saved:
    """Which file holds which group: 12 bytes a group."""

    ids: np.ndarray  # uint64, sorted
    files: np.ndarray  # int32, an index into `paths` for each id
    paths: list[Path]

    def holds(self, ids: np.ndarray) -> np.ndarray:
        """For each of these ids (uint64) whether it is saved."""
        return np.isin(ids, self.ids, assume_unique=False)

    def files_of(self, ids: np.ndarray) -> list[Path]:
        """The files that hold these ids, those that are not saved left out."""
        return [self.paths[i] for i in np.unique(self.files[np.isin(self.ids, ids)])]

    def read(self, names: Iterable[str]) -> list[Group]:
        """Those of the named groups that are saved."""
        wanted = set(names)
        files = self.files_of(np.array([as_number(name) for name in wanted], np.uint64))
        return [group for path in files for group in read_records(path, Group) if group.group_id in wanted]


def settle(folder: Path, quiet_seconds: float = 0) -> Saved:
    """Make parts of the journals that dead actors left, remove what was half-written, and make doubled groups single.

    Files that were written to in the last `quiet_seconds` stay as well, for the actors of a driver that was just killed may
    not know it yet: what they hold is read now, and again by the next who settles. A group is doubled where an actor that
    outlived its driver saved what the next run made again, in other company.
    """
    for path in sorted([*folder.glob(".part-*"), *folder.glob(".journal-*")]):
        if path.name.startswith(".journal-") and (groups := read_journal(path)):
            write_part(folder, to_table(groups, Group))
        if time.time() - _modified(path) >= quiet_seconds:
            path.unlink(missing_ok=True)
    while True:
        saved = _index(folder)
        doubled = saved.ids[1:][saved.ids[1:] == saved.ids[:-1]]
        if not len(doubled):
            return saved
        _make_single(saved.files_of(doubled), {int(number) for number in doubled})


def _index(folder: Path) -> Saved:
    paths = sorted(folder.glob("part-*.parquet"))
    ids = [_ids_of(path) for path in paths]
    numbers = np.concatenate([np.empty(0, np.uint64), *ids])
    files = np.repeat(np.arange(len(paths), dtype=np.int32), [len(each) for each in ids])
    order = np.argsort(numbers, kind="stable")
    return Saved(numbers[order], files[order], paths)


def _ids_of(path: Path) -> np.ndarray:
    names = pads.dataset(path).to_table(columns=["group_id"])["group_id"].to_pylist()
    return np.array([as_number(name) for name in names], np.uint64)


def _make_single(paths: list[Path], doubled: set[int]) -> None:
    """Keep each doubled group where it is met first."""
    met: set[int] = set()
    for path in paths:
        keep = []
        for number in _ids_of(path).tolist():
            keep.append(number not in met)
            met |= {number} & doubled
        if not all(keep):
            rest = pq.read_table(path).filter(pa.array(keep, pa.bool_()))
            path.unlink()
            if rest.num_rows:
                write_part(path.parent, rest)


def find(folder: Path, names: set[str], since: float) -> dict[str, Group]:
    """Those of the named groups that lie there, while others go on writing: in files written after `since` (Unix time).

    For the few that are asked for a second time, because an engine or a machine was lost.
    """
    found: dict[str, Group] = {}
    written = [(path, _modified(path)) for path in [*folder.glob(".journal-*"), *folder.glob("part-*.parquet")]]
    for path, when in sorted(written, key=lambda each: each[1], reverse=True):
        if len(found) == len(names) or when < since - CLOCKS_APART_SECONDS:
            break
        try:
            groups = read_journal(path) if path.suffix == ".jsonl" else _named(path, names)
        except FileNotFoundError:  # a journal that became a part meanwhile
            return found | find(folder, names - set(found), since)
        found |= {group.group_id: group for group in groups if group.group_id in names}
    return found


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _named(path: Path, names: set[str]) -> list[Group]:
    table = pads.dataset(path).to_table(filter=pads.field("group_id").isin(list(names)))
    return [Group.from_row(row) for row in table.to_pylist()]
