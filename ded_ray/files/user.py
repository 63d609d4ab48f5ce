"""Reads the files that users bring, row by row, with errors that name the file, the row and the remedy.

for where, row in read_rows("rollouts/*.jsonl.gz"):      # ("rollouts/a.jsonl.gz, row 1", {"prompt": ...})
for where, row in read_rows("open-r1/OpenR1-Math-220k:train", columns=["problem", "answer"]):
"""

import glob
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.files.arrow_rows import read_arrow
from ded_ray.files.folders import folder_at, on_this_machine
from ded_ray.files.json_rows import read_json
from ded_ray.files.store_errors import storage_errors
from ded_ray.models.load import HUB_DATA

JSON, ARROW = (".jsonl", ".ndjson", ".json"), (".parquet", ".arrow")
COMPRESSED = (".gz", ".zst")
SUFFIXES = ".jsonl, .ndjson or .json (these also .gz or .zst) or .parquet"

_SHARD = re.compile(r"-\d{1,9}-of-(\d{1,9})\b")
_SET_NAME = re.compile(r"[^\W\d_]*")


def read_rows(path: str | Path, columns: Collection[str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ('FILE, row N', row) for every row, in order and, but for a JSON array, in bounded memory.

    `path` is a file, a folder of shards, a pattern, or the name of a data set of the Hugging Face hub. With `columns` a
    Parquet file gives only these their values. Raises BadInput for what is missing, empty, cut off or of another kind.
    """
    outer = None if columns is None else {name for column in columns for name in (column, column.partition(".")[0])}
    number = 0
    for file in data_files(path):
        for number, row in enumerate(read_arrow(file, outer) if is_arrow(file) else read_json(file), start=1):
            yield f"{file}, row {number}", row
    if number == 0:
        raise BadInput(f"{path}: empty, there is not one row in it")


def data_files(path: str | Path) -> list[Path]:
    """The files that a user's path stands for, in order. Raises BadInput when there are none that can be read."""
    text, path = str(path), Path(path)
    if "://" in text:
        path = _from_store(text)
    if path.is_file():
        if not _kind(path):
            raise BadInput(f"{path}: neither {SUFFIXES}; convert it to one of them")
        return [path]
    if path.is_dir():
        return _shards(path)
    if glob.has_magic(text):
        names = sorted(glob.glob(text, recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
        files = [Path(name) for name in names if Path(name).is_file()]
        return _one_kind(text, [file for file in files if _kind(file)])
    if HUB_DATA.fullmatch(text):
        return _from_hub(text)
    raise BadInput(f"{path}: no such file")


def _from_store(url: str) -> Path:
    """A file or a folder of s3:// and the like, as a copy on this machine."""
    with storage_errors(store := folder_at(url), BadInput):
        try:
            return on_this_machine(store)
        except FileNotFoundError as error:
            raise BadInput(f"{url}: no such file") from error


def is_arrow(path: Path) -> bool:
    return path.suffix.lower() in ARROW


def _kind(path: Path) -> str:
    """The suffix without what compressed it; '' for none that is read here."""
    compressed = path.suffix.lower() in COMPRESSED
    suffix = path.with_suffix("").suffix.lower() if compressed else path.suffix.lower()
    return suffix if suffix in JSON or (suffix in ARROW and not compressed) else ""


def _shards(folder: Path) -> list[Path]:
    """The data files right inside a folder: shards of one set. Raises BadInput when they are not, or some are missing."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name[0] not in "._" and _kind(file)]
    if any(_kind(file) != ".json" for file in files):
        files = [file for file in files if _kind(file) != ".json"]  # data sets of the hub describe themselves in these
    one_kind = _one_kind(str(folder), files)
    names = sorted({_SET_NAME.match(file.name).group() for file in one_kind})  # type: ignore[union-attr]
    if len(names) > 1:
        raise BadInput(f"{folder}: holds several sets ({', '.join(names[:5])}); name one, as in '{folder}/{names[-1]}*'")
    sharded = [int(match.group(1)) for file in one_kind if (match := _SHARD.search(file.name))]
    if sharded and len(sharded) != sharded[0]:
        raise BadInput(f"{folder}: {len(sharded)} of {sharded[0]} shards of {names[0]!r}; fetch the others")
    return one_kind


def _one_kind(path: str, files: list[Path]) -> list[Path]:
    if not files:
        raise BadInput(f"{path}: no {SUFFIXES} there; name one, a folder of them, or a pattern")
    if len(kinds := sorted({"Parquet" if is_arrow(file) else "JSON" for file in files})) > 1:
        raise BadInput(f"{path}: files of {' and '.join(kinds)} together; name one kind, as in '*{files[0].suffix}'")
    return files


def _from_hub(name: str) -> list[Path]:
    """OWNER/NAME, :SPLIT (train where it is left out) or :CONFIG:SPLIT, as the local files that `datasets` keeps of it."""
    try:
        import datasets
    except ImportError as error:
        raise BadInput(f"{name}: no such file or folder; for a data set of the hub: pip install 'ded-ray[hub]'") from error
    owner_and_name, *rest = name.split(":")
    try:
        found = datasets.load_dataset(owner_and_name, *rest[:-1], split=rest[-1] if rest else "train")
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{name}: no such file, and not to be had from the hub ({reason}); write OWNER/NAME:SPLIT") from error
    return [Path(file["filename"]) for file in found.cache_files]
