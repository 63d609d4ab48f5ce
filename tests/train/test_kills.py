"""kill -9 right after an asynchronous checkpoint was handed over, while it is copied: what comes out is what would have."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import trainings
from conftest import PROJECT
from ray.cluster_utils import Cluster
from trainings import KNOBS, assert_same, first_worker, killing, paced, trained

from ded_ray.recipe import DeepSpeed, Fsdp2

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("strategy", [KNOBS.strategy, Fsdp2(), DeepSpeed(zero_stage=2)], ids=["ddp", "fsdp2", "zero-2"])
def test_a_worker(uninterrupted, training_tokens, tmp_path, strategy):
    with killing(tmp_path, lambda: first_worker(tmp_path).kill) as killed:
        trained(training_tokens, tmp_path, counts=paced(), strategy=strategy)
    assert killed
    assert_same(tmp_path, uninterrupted(strategy))
    assert len(list(tmp_path.glob("ray_train/run/checkpoint_[0-9]*"))) == 2, "what the kill left unfinished is gone"


def start_driver(tokens: Path, folder: Path, address: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, trainings.__file__, str(tokens), str(folder), "null"], cwd=PROJECT,
        env=os.environ | {"RAY_ADDRESS": address}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(driver: subprocess.Popen[str]) -> None:
    said = driver.communicate(timeout=300)[1]
    assert driver.returncode == 0, said[-4000:]


def test_the_driver(uninterrupted, training_tokens, tmp_path, ray_cluster):
    driver = start_driver(training_tokens, tmp_path, ray_cluster)
    with killing(tmp_path, lambda: driver.kill) as killed:
        driver.communicate(timeout=300)
    assert killed
    assert driver.returncode < 0
    finish(start_driver(training_tokens, tmp_path, ray_cluster))
    assert_same(tmp_path, uninterrupted(KNOBS.strategy))


def test_a_node(uninterrupted, training_tokens, tmp_path):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    node = cluster.add_node(num_cpus=KNOBS.workers)
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)

    def kill() -> None:
        for process in [raylet, *raylet.children(recursive=True)]:
            process.kill()

    driver = start_driver(training_tokens, tmp_path, cluster.address)
    try:
        with killing(tmp_path, lambda: kill) as killed:
            while not killed and driver.poll() is None:
                time.sleep(0.1)
        assert killed
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(num_cpus=KNOBS.workers)
        finish(driver)
    finally:
        driver.kill()
        cluster.shutdown()
    assert_same(tmp_path, uninterrupted(KNOBS.strategy))
