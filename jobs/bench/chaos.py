"""Kills engines, drivers and machines at random while a plan generates: `python -m jobs.bench.chaos [--kills 20]`.

A small Ray cluster of this machine's own, a driver in a process of its own that is started again whenever it ends, and a
scripted engine whose answers are known beforehand. At the end every group must be there once, and be what it would have
been without a single kill.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ded_ray.files.parts import read_records
from ded_ray.recipe import Sampling, ScriptedEngine, Teacher
from ded_ray.records import Group, Problem, to_table

KINDS = ("engine", "driver", "node")
TEACHER = Teacher(
    model="scripted",
    engine=ScriptedEngine(workers=2, batch_size=1, seconds_per_group=0.1, cut_off_rate=0.1),
    sampling=Sampling(num_rollouts=4),
)


def drive(folder: Path) -> None:
    """What a driver does: join the cluster, generate what is missing, and read it to its end."""
    from ded_ray.generate.identity import GenerateJob
    from ded_ray.generate.monitor import EngineMonitor
    from ded_ray.generate.ray_data import generate
    from ded_ray.runtime.connect import start_ray
    from ded_ray.runtime.progress import progress, start_actor

    start_ray()
    quarantine = folder / "quarantine.jsonl"
    with (
        progress("answers", 0, "problems", start_actor(EngineMonitor, quarantine, 1000)) as monitor,
        generate(GenerateJob(TEACHER, 0, folder / "groups", quarantine), folder / "problems.parquet", monitor) as groups,
    ):
        print(json.dumps({"handed_on": sum(1 for _ in groups.iter_rows())}), flush=True)


def expected_groups(problems: list[Problem]) -> dict[str, Group]:
    """What an undisturbed run makes, without Ray."""
    from ded_ray.generate.engine import Request
    from ded_ray.generate.engines.scripted import ScriptedModel
    from ded_ray.generate.identity import group_id, group_seed, identity

    engine = ScriptedModel(ScriptedEngine(cut_off_rate=0.1))
    asked = [Request([], TEACHER.sampling, group_seed(0, problem.problem_id, "scripted"), problem) for problem in problems]
    made = {}
    for request, rollouts in engine.generate(asked):
        if request.problem is not None:
            name = group_id(request.problem, identity(TEACHER, 0))
            made[name] = Group.of(request.problem, name, "scripted", rollouts)
    return made


def engine_processes() -> list[int]:
    import psutil

    return [process.pid for process in psutil.process_iter(["name", "cmdline"])
            if "MapWorker(MapBatches(GenerateWorker))" in " ".join(process.info["cmdline"] or [])]  # fmt: skip


def chaos(num_problems: int, kills: list[str], seed: int, pause: tuple[float, float]) -> dict[str, Any]:
    """Kill these in turn, then let it finish; the result says what was found."""
    import pyarrow.parquet as pq
    from ray.cluster_utils import Cluster

    from ded_ray.generate.monitor import read_quarantine
    from ded_ray.tiny.problems import make_problems

    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    rng, problems = random.Random(seed), make_problems("chain", num_problems, (3, 6), 0)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    started, done, drivers, num_drivers = time.monotonic(), Counter[str](), list[subprocess.Popen[str]](), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pq.write_table(to_table(problems, Problem), folder / "problems.parquet")
        environment = os.environ | {"RAY_ADDRESS": cluster.address}
        command = [sys.executable, "-m", "jobs.bench.chaos", "--drive", name]

        def start_driver() -> subprocess.Popen[str]:
            return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

        try:
            drivers.append(start_driver())
            for kind in kills:
                before = sum(1 for path in (folder / "groups").glob("*"))
                while drivers[-1].poll() is None and sum(1 for _ in (folder / "groups").glob("*")) == before:
                    time.sleep(0.1)  # until somebody is at work
                time.sleep(rng.uniform(*pause))
                if drivers[-1].poll() is not None:
                    break  # all is done
                if kind == "node":
                    cluster.remove_node(nodes.pop(rng.randrange(2)), allow_graceful=False)
                    nodes.append(cluster.add_node(num_cpus=1))
                elif kind == "driver":
                    drivers[-1].kill()
                    drivers.append(start_driver())
                elif running := engine_processes():
                    os.kill(rng.choice(running), signal.SIGKILL)
                done[kind] += 1
            output, _ = drivers[-1].communicate(timeout=1800)
            while drivers[-1].returncode:
                num_drivers += 1
                if num_drivers > 5:
                    raise RuntimeError(f"the driver keeps failing: {output}")
                drivers.append(start_driver())
                output, _ = drivers[-1].communicate(timeout=1800)
        finally:
            for driver in drivers:
                driver.kill()
            cluster.shutdown()
        found, expected = list(read_records(folder / "groups", Group)), expected_groups(problems)
        return {
            "kills": dict(done), "groups": len(found), "handed_on": _handed_on(output),
            "missing": len(expected.keys() - {group.group_id for group in found}),
            "doubled": len(found) - len({group.group_id for group in found}),
            "different": sum(group != expected.get(group.group_id) for group in found),
            "quarantined": len(read_quarantine(folder / "quarantine.jsonl")),
            "seconds": round(time.monotonic() - started, 1),
        }  # fmt: skip


def _handed_on(output: str) -> int:
    """What the last driver printed; Ray may have said something after it, on the same stream."""
    [line] = [line for line in output.splitlines() if line.startswith("{")]
    return json.loads(line)["handed_on"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--problems", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        drive(arguments.drive)
        return
    rng = random.Random(arguments.seed)
    kills = [KINDS[i % len(KINDS)] for i in range(arguments.kills)]
    rng.shuffle(kills)
    print(json.dumps(chaos(arguments.problems, kills, arguments.seed, (0.5, 3))))


if __name__ == "__main__":
    main()
