"""Engines, and the machines under them, that die: nothing that was finished is lost, made again or doubled."""

import os
import signal
import threading
import time

import psutil
import pyarrow.parquet as pq
import pytest
import ray

from ded_ray.errors import Stopped
from ded_ray.files.parts import read_records
from ded_ray.generate.identity import GenerateJob
from ded_ray.generate.monitor import EngineMonitor
from ded_ray.generate.ray_data import generate
from ded_ray.generate.store import compact
from ded_ray.recipe import Sampling, ScriptedEngine, Teacher
from ded_ray.records import Group, Problem, to_table
from ded_ray.tiny.problems import make_problems

pytestmark = pytest.mark.slow
PROBLEMS = make_problems("chain", 40, (3, 6), 0)


def teacher(**config) -> Teacher:
    engine = ScriptedEngine(batch_size=1, seconds_per_group=0.1, **config)
    return Teacher(model="scripted", engine=engine, sampling=Sampling(num_rollouts=3))


def answered(folder, generator, max_deaths=20, meanwhile=lambda _: None):
    """(groups, what the watch counted); `meanwhile` runs in a thread and gets the watch."""
    monitor = ray.remote(num_cpus=0)(EngineMonitor).remote(folder / "quarantine.jsonl", max_deaths)
    pq.write_table(to_table(PROBLEMS, Problem), folder / "p.parquet")
    thread = threading.Thread(target=meanwhile, args=(monitor,))
    thread.start()
    try:
        with generate(
            GenerateJob(generator, 0, folder / "groups", folder / "quarantine.jsonl"), folder / "p.parquet", monitor
        ) as groups:
            rows = [Group.from_row(row) for row in groups.take_all()]
    finally:
        thread.join()
    return sorted(rows, key=lambda g: g.group_id), ray.get(monitor.read.remote())


@pytest.fixture(scope="module")
def undisturbed(ray_cluster, tmp_path_factory):
    return answered(tmp_path_factory.mktemp("undisturbed"), teacher())[0]


def engine_processes():
    return [
        p
        for p in psutil.process_iter(["name"])
        if "GenerateWorker" in (p.info["name"] or "") or "MapWorker" in p.info["name"]
    ]


def wait_for(monitor, num_groups):
    while ray.get(monitor.read.remote()).get("groups", 0) < num_groups:
        time.sleep(0.05)


def test_a_killed_engine_is_replaced_and_makes_only_what_was_missing(undisturbed, tmp_path):
    def kill(monitor):
        for done in (8, 20):
            wait_for(monitor, done)
            os.kill(engine_processes()[0].pid, signal.SIGKILL)

    groups, counts = answered(tmp_path, teacher(notes=str(tmp_path / "notes")), meanwhile=kill)
    assert groups == undisturbed
    assert len((tmp_path / "notes").read_text().splitlines()) <= 42, "what was being made at a death is made twice"
    assert counts["groups"] == 40
    assert len(list(read_records(tmp_path / "groups", Group))) == 40


def test_a_poisonous_prompt_goes_to_quarantine_and_stays_there(undisturbed, tmp_path):
    poison = PROBLEMS[7].problem_id
    groups, counts = answered(tmp_path, teacher(dies_at=poison))
    assert groups == [group for group in undisturbed if group.problem_id != poison]
    assert counts["quarantined"] == 1
    [line] = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    assert poison in line
    again, counts = answered(tmp_path, teacher(dies_at=poison))
    assert again == groups
    assert counts.get("groups", 0) == 0, "nothing is made again, and the poison is not asked"


def test_engines_that_keep_dying_stop_the_run_in_one_line_with_what_they_made(undisturbed, tmp_path):
    with pytest.raises(Stopped, match="scripted: 1 engines died, and max_deaths is 0"):
        answered(tmp_path, teacher(dies_at=PROBLEMS[30].problem_id), max_deaths=0)
    finished = len(compact(tmp_path / "groups").ids)
    assert finished >= 25
    groups, counts = answered(tmp_path, teacher())
    assert groups == undisturbed
    assert counts["groups"] == 40 - finished
