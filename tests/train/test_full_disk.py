"""A training whose disk becomes full: one line, nothing half there, and with room again it goes on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trainings
from conftest import PROJECT
from namespaces import MOUNT, may
from trainings import KNOBS, assert_same

from ded_ray.train.history import History

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not may("unshare", "--mount", *MOUNT), reason="needs the right to make mount namespaces (root)"),
]


RAY = """
import ray, time
print(ray.init("local", num_cpus=8, include_dashboard=False, log_to_driver=False).address_info["address"], flush=True)
time.sleep(3600)
"""


class SmallDisk:
    """A disk at `folder` that only those see who are started by `run`; `seen` is where this process finds it."""

    def __init__(self, folder: Path, keeper: int) -> None:
        self._enter = ["nsenter", "--mount", f"--target={keeper}", f"--wdns={PROJECT}"]
        self.folder, self.seen = folder, Path(f"/proc/{keeper}/root{folder}")

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | variables
        return subprocess.run([*self._enter, *command], env=environment, capture_output=True, text=True, timeout=600)

    @contextmanager
    def ray(self) -> Iterator[str]:
        """A Ray whose workers see the disk; yields its address."""
        own = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        head = subprocess.Popen([*self._enter, sys.executable, "-c", RAY], env=own, stdout=subprocess.PIPE, text=True)
        try:
            yield head.stdout.readline().strip()
        finally:
            head.terminate()
            head.wait()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    script = f'mount -t tmpfs -o size={megabytes}m tmpfs "$1" && echo there && exec sleep infinity'
    keeper = subprocess.Popen(["unshare", "--mount", "sh", "-c", script, "sh", str(folder)], stdout=subprocess.PIPE)  # noqa: S607
    try:
        assert keeper.stdout.readline() == b"there\n"
        yield SmallDisk(folder, keeper.pid)
    finally:
        keeper.kill()
        keeper.wait()


def goes_on(disk: SmallDisk, address: str, tokens: Path, fill: dict | None) -> None:
    """The training, until its disk is full (by itself, or as `fill` says) or, where that is None, to its end."""
    arguments = str(tokens), str(disk.folder / "out"), json.dumps(fill and {**fill, "disk": str(disk.folder)})
    done = disk.run(sys.executable, trainings.__file__, *arguments, RAY_ADDRESS=address)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("train ")]  # its progress
    if fill is None:
        assert done.returncode == 0, done.stderr[-4000:]
        return
    assert done.returncode == 1, done.stderr[-4000:]
    assert len(lines) == 1, done.stderr
    assert "the disk is full; make room, nothing that was saved is lost; the same command goes on" in lines[0]
    (disk.seen / "ballast").unlink()


def test_a_full_disk(uninterrupted, training_tokens, tmp_path):
    with small_disk(tmp_path, 24) as disk, disk.ray() as address:
        out = disk.seen / "out"
        # Room for what is noted of the steps, and not for the checkpoint of step 4.
        goes_on(disk, address, training_tokens, {"at": 3, "bytes": 1_000_000})
        [checkpoint] = out.glob("ray_train/run/checkpoint_[0-9]*")
        assert len(History.read(checkpoint)) == 2
        # Not even for that.
        goes_on(disk, address, training_tokens, {"at": 5, "bytes": 0})
        assert {len(History.read(each)) for each in out.glob("ray_train/run/checkpoint_[0-9]*")} == {2, 4}
        assert not (out / "model").exists()
        goes_on(disk, address, training_tokens, None)
        assert_same(out, uninterrupted(KNOBS.strategy))
        # All steps are done; only the model and the table of the steps are to be written once more.
        shutil.rmtree(out / "model")
        (out / "steps.parquet").unlink()
        free = os.statvfs(disk.seen)
        (disk.seen / "ballast").write_bytes(bytes(free.f_bavail * free.f_frsize - 300_000))
        goes_on(disk, address, training_tokens, {})
        assert not (out / "model").exists()
        assert not (out / ".model").exists()
        goes_on(disk, address, training_tokens, None)
        assert_same(out, uninterrupted(KNOBS.strategy))


WRITE = """
import shutil, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from ded_ray.errors import Stopped
from ded_ray.files.store_errors import full_disk
from ded_ray.train.strategies.fsdp2 import save

folder, large = Path(sys.argv[1]), {"large": torch.zeros(2_000_000)}
writes = [
    lambda: torch.save(large, folder / "a"),
    lambda: save_file(large, folder / "b"),
    lambda: save(large, folder / "c"),
    lambda: (folder / "d").write_bytes(bytes(8_000_000)),
]
for write in writes:
    try:
        with full_disk(folder):
            write()
    except Stopped as stopped:
        print(stopped)
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
"""


def test_what_libraries_raise_on_a_full_disk(tmp_path):
    with small_disk(tmp_path, 4) as disk:
        done = disk.run(sys.executable, "-c", WRITE, str(tmp_path))
    said = f"{tmp_path}: the disk is full; make room, nothing that was saved is lost"
    assert done.stdout.splitlines() == [said] * 4, done.stderr
