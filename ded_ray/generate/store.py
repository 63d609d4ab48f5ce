"""Groups on disk: every one is in a journal before anyone else hears of it, then in a Parquet part, and never twice.

An actor appends each group to a journal of its own, a line of JSON, and makes a part of it every so often. A kill
costs no more than the line that was being written.
"""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from ded_ray.files.folders import arrow_filesystem, dataset, make, plain_name
from ded_ray.files.lines import Journal, all_modified, delete_lines, modified, read_lines
from ded_ray.files.parts import read_records, write_part
from ded_ray.generate.identity import as_numbers
from ded_ray.records import Group, to_table

GROUPS_PER_PART = 64

AT_ONCE = 32
"""Parts whose ids are read at the same time: a bucket takes long to answer, and as long for many as for one."""

CLOCKS_APART_SECONDS = 60
"""The clocks of machines and of a shared file system differ by less."""


class GroupWriter:
    """Saves one actor's groups in `folder`. Safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = make(folder), threading.Lock()
        self._waiting: list[Group] = []
        self._journal: Journal | None = None

    def save(self, groups: list[Group]) -> None:
        """When this returns the groups outlive the process, and on a shared file system or in a store the machine."""
        with self._lock:
            if not groups:
                return
            self._waiting += groups
            if len(self._waiting) >= GROUPS_PER_PART:
                write_part(self._folder, to_table(self._waiting, Group))
                self._waiting = []
                if self._journal is not None:
                    self._journal.delete()
                    self._journal = None
                return
            self._journal = self._journal or Journal(self._folder)
            self._journal.append(group.to_row() for group in groups)


def read_journal(path: Path) -> list[Group]:
    """All whole lines of a journal; a kill may have cut the last one off. Raises FileNotFoundError."""
    return [Group.from_row(row) for row in read_lines(path)]


@dataclass(frozen=True)
class StoredGroups:
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
        files = self.files_of(as_numbers(list(wanted)))
        return [group for path in files for group in read_records(path, Group) if group.group_id in wanted]


def compact(folder: Path, quiet_seconds: float = 0) -> StoredGroups:
    """Turn journals of dead actors into Parquet parts, delete half-written files, and remove duplicate groups.

    A file that was written to in the last `quiet_seconds` is read but not deleted: an actor of a driver that was just
    killed may still be writing to it. The next call reads it again. A group is there twice when such an actor saved what
    the next run made again, in another file.
    """
    for path in sorted([*folder.glob(".part-*"), *folder.glob(".journal-*")]):
        if path.name.startswith(".journal-") and (groups := read_journal(path)):
            write_part(folder, to_table(groups, Group))
        if time.time() - modified(path) >= quiet_seconds:
            delete_lines(path)
    while True:
        stored = _index(folder)
        doubled = stored.ids[1:][stored.ids[1:] == stored.ids[:-1]]
        if not len(doubled):
            return stored
        _remove_duplicates(stored.files_of(doubled), {int(number) for number in doubled})


def _index(folder: Path) -> StoredGroups:
    paths = sorted(folder.glob("part-*.parquet"))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        ids = list(threads.map(_ids_of, paths))
    numbers = np.concatenate([np.empty(0, np.uint64), *ids])
    files = np.repeat(np.arange(len(paths), dtype=np.int32), [len(of_file) for of_file in ids])
    order = np.argsort(numbers, kind="stable")
    return StoredGroups(numbers[order], files[order], paths)


def _ids_of(path: Path) -> np.ndarray:
    with pq.ParquetFile(plain_name(path), filesystem=arrow_filesystem(path)) as file:
        return as_numbers(file.read(columns=["group_id"])["group_id"].to_pylist())


def _remove_duplicates(paths: list[Path], doubled: set[int]) -> None:
    """Keep each doubled group in the first file that has it."""
    seen_ids: set[int] = set()
    for path in paths:
        keep = []
        for number in _ids_of(path).tolist():
            keep.append(number not in seen_ids)
            seen_ids |= {number} & doubled
        if not all(keep):
            rest = dataset(path).to_table().filter(pa.array(keep, pa.bool_()))
            path.unlink()
            if rest.num_rows:
                write_part(path.parent, rest)


def find_recent(folder: Path, names: set[str], since: float) -> dict[str, Group]:
    """The named groups that are saved in files written after `since` (Unix time), while other actors go on writing.

    For the few groups that are asked for a second time, because an engine or a machine was lost.
    """
    found: dict[str, Group] = {}
    written = {path: when for path, when in all_modified(folder).items() if path.name.startswith((".journal-", "part-"))}
    for path, when in sorted(written.items(), key=lambda file: file[1], reverse=True):
        if len(found) == len(names) or when < since - CLOCKS_APART_SECONDS:
            break
        try:
            groups = read_journal(path) if path.suffix == ".jsonl" else _named(path, names)
        except FileNotFoundError:  # a journal that became a part meanwhile
            return found | find_recent(folder, names - set(found), since)
        found |= {group.group_id: group for group in groups if group.group_id in names}
    return found


def _named(path: Path, names: set[str]) -> list[Group]:
    table = dataset(path).to_table(filter=pads.field("group_id").isin(list(names)))
    return [Group.from_row(row) for row in table.to_pylist()]
