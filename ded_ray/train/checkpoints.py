"""Checkpoints of a training that is not over: saved while it goes on, and what a kill or a full disk leaves of them.

save_checkpoint(strategy, history, place, config)   # every worker its own part; Ray Train brings them together
checkpoint = last_checkpoint(folder, place)         # the last whole one; None at the start
with files_of(checkpoint, folder) as files:
    step = strategy.load(files)
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train import Checkpoint, CheckpointUploadMode

from ded_ray.errors import Stopped
from ded_ray.files.folders import is_local, remove
from ded_ray.files.store_errors import full_disk
from ded_ray.recipe import HeldOut
from ded_ray.records import stable_hash
from ded_ray.train.held_out import LOSS, PASS_RATE, best_step
from ded_ray.train.history import History
from ded_ray.train.step import Place
from ded_ray.train.strategy import Strategy

STORAGE = "ray_train"

IMPROVED = "improved"
"""Of a checkpoint: its step if it was measured better than all before it, else 0. The highest is the best: of equal
measurements the first, where Ray Train would keep the last."""


def save_checkpoint(strategy: Strategy, history: History, place: Place, config: dict[str, Any]) -> None:
    """Every worker writes its own part; Ray Train puts them together in the run's storage while training goes on."""
    own = Path(tempfile.mkdtemp(prefix=_prefix(config["folder"])))
    try:
        with full_disk(own.parent):
            strategy.save(own, step=history.num_steps)
            if place.rank == 0:
                history.write(own)
        with full_disk(config["folder"]):
            history.write_steps()
    except Stopped:
        remove(own)
        raise
    metrics = {name: history.curve[-1][name] for name in ("step", "loss", LOSS, PASS_RATE) if name in history.curve[-1]}
    if (held_out := place.train.held_out) is not None:
        metrics[IMPROVED] = history.num_steps if best_step(history.curve, held_out) == history.num_steps else 0
    if any(own.iterdir()):
        ray.train.report(
            metrics, checkpoint=Checkpoint.from_directory(own), checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
            checkpoint_upload_fn=partial(_upload, config["folder"], config["counts"]),
        )  # fmt: skip
    else:
        remove(own)
        ray.train.report(metrics)


def last_checkpoint(folder: Path, place: Place) -> Checkpoint | None:
    """The last one that Ray Train committed. What a kill left of unfinished ones is deleted: nobody has begun another one,
    which takes a step of all workers."""
    for left in Path(tempfile.gettempdir()).glob(f"{_prefix(folder)}*"):
        remove(left)
    if place.rank == 0:
        whole = {Path(each.checkpoint.path).name for each in ray.train.get_all_reported_checkpoints()}
        for left in (folder / STORAGE).glob("*/checkpoint_[0-9]*"):
            if left.name not in whole:
                remove(left)
    return ray.train.get_checkpoint()


def load_best(strategy: Strategy, history: History, held_out: HeldOut, folder: Path) -> None:
    """Go back to the checkpoint that was measured best."""
    best = best_step(history.curve, held_out)
    if best is None or best == history.num_steps:
        return
    reported = {each.metrics["step"]: each.checkpoint for each in ray.train.get_all_reported_checkpoints()}
    with files_of(reported[best], folder) as files:
        strategy.load(files)


@contextmanager
def files_of(checkpoint: Checkpoint, folder: Path) -> Iterator[Path]:
    """A saved checkpoint on this machine: itself where the run's folder is here, else a copy that Ray Train makes."""
    if is_local(folder):
        yield Path(checkpoint.path)
        return
    with checkpoint.as_directory() as files:
        yield Path(files)


def _prefix(folder: Path) -> str:
    """Of the folders of this machine in which a worker puts its part of a checkpoint together."""
    return f"ded_ray_checkpoint_{stable_hash(folder)}_"


def _upload(folder: Path, counts: Any, own: Checkpoint, name: str) -> Checkpoint:
    """Bring this worker's part to the run's storage, in a thread of Ray Train's; on a full disk nothing of it stays."""
    storage = ray.train.get_context().get_storage()
    there = Path(storage.build_checkpoint_path_from_name(name))
    try:
        with full_disk(folder):
            if not is_local(folder):
                return storage.persist_current_checkpoint(own, name)
            there.mkdir(exist_ok=True)  # not its parents: where they are not seen the disk is not shared
            shutil.copytree(own.path, there, dirs_exist_ok=True)
            return Checkpoint(str(there), storage.storage_filesystem)
    except Stopped as error:
        remove(there)
        remove(Path(own.path))
        ray.get(counts.stop.remote(str(error)))
        raise
