"""One small training that many tests share, alone and in a process of its own that can be killed.

    python trainings.py TOKENS FOLDER FILL

goes on with the training in FOLDER as a command of `ded-ray` would: one line and exit code 1 when it is stopped. FILL is
the JSON of when a disk becomes full, see `paced`.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import ray
import torch
from safetensors.torch import load_file

from ded_ray.errors import plain_errors
from ded_ray.files.parts import write_part
from ded_ray.recipe import Recipe, Student, Teacher, TinyProblems, Train
from ded_ray.records import Group, Rollout, to_table
from ded_ray.runtime.progress import Counts, start_actor
from ded_ray.tiny.problems import make_problems
from ded_ray.train.ray_train import tokenize, train

# 11 examples in batches of 4 over 2 workers: uneven last batches, empty rows, several rows a step.
KNOBS = Train(workers=2, epochs=2, batch_size=4, max_length=80, learning_rate=1e-3, checkpoint_every_steps=2)
NUM_STEPS = 6
PAUSE = 0.5
"""Seconds between two steps, so that there is a moment right after a checkpoint."""


def recipe(**config) -> Recipe:
    return Recipe(
        name="t",
        problems=TinyProblems(),
        student=Student(model="tiny/student"),
        teacher=Teacher(model="tiny/careful"),
        train=KNOBS.model_copy(update=config),
    )


def groups() -> list[Group]:
    return [
        Group.of(
            problem, f"g{i}", "t",
            [Rollout(index=0, completion=f"{'so ' * (i % 3)}\\boxed{{{problem.answer}}}", num_tokens=9,
                     finish_reason="stop", seed=0, weight=0.25 * (i + 1))],
        )
        for i, problem in enumerate(make_problems("chain", 11, (2, 6), 0))
    ]  # fmt: skip


def make_tokens(folder: Path) -> Path:
    (folder / "curated").mkdir()
    write_part(folder / "curated", to_table(groups(), Group))
    tokenize(folder / "curated", recipe().student, KNOBS.max_length, folder / "tokens")
    return folder / "tokens"


def trained(tokens: Path, folder: Path, name: str = "run", counts=None, **config) -> list[dict[str, float]]:
    return train(recipe(**config), tokens=tokens, folder=folder, name=name, counts=counts or ray.remote(Counts).remote())


def paced(fill: dict | None = None):
    """An actor that counts like the progress actor, and lets a while pass after each step. With `fill` it leaves `bytes` of
    `disk` after step `at`."""

    class Paced(Counts):  # local, so that Ray ships the class itself and not the name of this module
        def set(self, **counts: int) -> None:
            super().set(**counts)
            if fill and counts["done"] == fill["at"]:
                disk = os.statvfs(fill["disk"])
                Path(fill["disk"], "ballast").write_bytes(bytes(disk.f_bavail * disk.f_frsize - fill["bytes"]))

        def why_stopped(self) -> str | None:
            time.sleep(PAUSE)
            return super().why_stopped()

    return start_actor(Paced)


@contextmanager
def killing(folder: Path, find: Callable[[], Callable[[], None]]) -> Iterator[list[str]]:
    """Find whom to kill at the first checkpoint of a training, and kill at the second, when its first byte is there; yields
    the names of the checkpoints that were seen before."""
    seen: set[str] = set()
    killed: list[str] = []
    over = threading.Event()

    def watch() -> None:
        kill = None
        while not over.wait(0.001):
            seen.update(each.name for each in folder.glob("ray_train/*/checkpoint_[0-9]*"))
            if seen and kill is None:
                kill = find()
            if len(seen) > 1 and kill is not None:
                kill()
                killed.extend(sorted(seen))
                return

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield killed
    finally:
        over.set()
        watching.join()


def first_worker(folder: Path) -> psutil.Process:
    """The worker that writes what happens at every step: it has the file for TensorBoard open."""
    board = str(folder / "tensorboard")
    for process in psutil.process_iter():
        try:
            if any(file.path.startswith(board) for file in process.open_files()):
                return process
        except psutil.Error:
            continue  # it ended meanwhile
    raise RuntimeError(f"nobody writes to {board}")


def assert_same(folder: Path, wanted: Path) -> None:
    """The same curve, the same rows of every step once, the same weights, all to the last bit: on as many workers the sums
    are made in the same order."""
    assert _curve(folder) == _curve(wanted)
    assert _steps(folder) == _steps(wanted)
    weights, other = (load_file(each / "model" / "model.safetensors") for each in (folder, wanted))
    assert weights.keys() == other.keys()
    assert all(torch.equal(weights[name], other[name]) for name in weights)


def _curve(folder: Path) -> list[dict[str, float]]:
    points = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
    assert [point["step"] for point in points] == list(range(1, NUM_STEPS + 1))
    return [{name: value for name, value in point.items() if name != "tokens_per_second"} for point in points]


def _steps(folder: Path) -> list[dict[str, object]]:
    return sorted(pq.read_table(folder / "steps.parquet").to_pylist(), key=lambda row: (row["step"], row["rollout"]))


def main() -> None:
    tokens, folder, fill = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    with plain_errors():
        from ded_ray.runtime.connect import start_ray
        from ded_ray.runtime.progress import progress

        start_ray()
        with progress("train", NUM_STEPS, "steps", paced(fill)) as counts:
            trained(tokens, folder, counts=counts)


if __name__ == "__main__":
    main()
