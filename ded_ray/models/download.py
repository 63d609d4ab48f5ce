"""Models and data in a store, such as s3://bucket/models/mine: copied to this machine once, and found there afterwards.

    local_copy("s3://bucket/runs/mine/checkpoint/model")      # a folder of this machine
    local_copy("s3://bucket/problems.jsonl")                  # a file

Credentials come from the environment, as the store's own library finds them.
"""

import errno
import hashlib
import shutil
from pathlib import Path
from typing import Any

S3_OPTIONS = {"config_kwargs": {"connect_timeout": 10, "retries": {"mode": "standard", "max_attempts": 6}}}
"""Six tries with growing pauses: what a store answers when it is busy (503, SlowDown) or hangs up is no error yet."""

PIECE_BYTES, PIECES_AT_ONCE = 16 << 20, 8
"""Files come in pieces, so many at a time: what a lost connection costs is one piece, which the store's library asks again.
(Of a whole file that is larger than 50 MB s3fs does not.)"""


def store_options(url: str) -> dict[str, Any]:
    """Options of fsspec for the store of this URL. Listings are never remembered: others write there as well."""
    return {"use_listings_cache": False} | (S3_OPTIONS if url.startswith(("s3://", "s3a://")) else {})


def local_copy(url: str) -> Path:
    """What is at `url` now, a folder or a file, on this machine. Raises FileNotFoundError when nothing is there."""
    import fsspec
    from filelock import FileLock
    from huggingface_hub.constants import HF_HOME

    store, root = fsspec.url_to_fs(url, **store_options(url))
    files = store.find(root, detail=True)
    if not files:
        raise FileNotFoundError(f"{url}: nothing is there")
    is_file = list(files) == [store._strip_protocol(root)]
    seen = [f"{name} {info['size']} {info.get('ETag', info.get('etag', info.get('mtime')))}" for name, info in files.items()]
    name = hashlib.sha256("\n".join([url, *sorted(seen)]).encode()).hexdigest()[:24]
    cache = Path(HF_HOME) / "ded_ray"
    cache.mkdir(parents=True, exist_ok=True)
    copy, unfinished = cache / name, cache / f".{name}"
    with FileLock(cache / f".{name}.lock"):
        if not copy.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            inside = Path(root).parent if is_file else Path(root)
            _download(store, {name: info["size"] for name, info in files.items()}, inside, unfinished)
            unfinished.rename(copy)
    return copy / Path(root).name if is_file else copy


def _download(store: Any, sizes: dict[str, int], root: Path, to: Path) -> None:
    """Files of a store, with their sizes in bytes, to the places under `to` that they have under `root`. Raises OSError for
    one that is no longer what it was when it was listed."""
    copies = {name: to / Path(name).relative_to(root) for name in sizes}
    for copy in copies.values():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    pieces = [
        (name, start, min(start + PIECE_BYTES, size))
        for name, size in sizes.items()
        for start in range(0, size, PIECE_BYTES)
    ]
    for first in range(0, len(pieces), PIECES_AT_ONCE):
        some = pieces[first : first + PIECES_AT_ONCE]
        names, starts, ends = map(list, zip(*some, strict=True))
        for (name, start, end), data in zip(some, store.cat_ranges(names, starts, ends, on_error="raise"), strict=True):
            if len(data) != end - start:
                raise OSError(errno.EIO, f"{name}: {len(data)} bytes came instead of {end - start}")
            with copies[name].open("ab") as file:
                file.write(data)
