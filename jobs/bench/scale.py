"""Many prompts through generate -> verify -> write with the scripted engine: `python -m jobs.bench.scale`.

A million prompts (`--problems`), eight rollouts each. Says the driver's peak memory, the time per rollout, when the
first verdict was there and when the last group was made (no stage waits for another to end), and what ten million prompts
would take (ten_million.py). `--nodes 1,2,4` repeats a smaller form on simulated nodes of this one machine: they share its
cores, so that what they show is what more nodes cost, not what they bring. Many engines: engines.py.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ded_ray.recipe import Sampling, ScriptedEngine, Teacher, Verify
from ded_ray.records import Group, Problem, schema_of, to_table
from jobs.bench import ten_million

NUM_ROLLOUTS, ROWS_PER_FILE = 8, 50_000


def write_problems(folder: Path, num_problems: int) -> None:
    """Synthetic prompts, a file at a time."""
    import pyarrow.parquet as pq

    for start in range(0, num_problems, ROWS_PER_FILE):
        rows = [
            Problem(problem_id=f"p{i}", prompt=f"What is {i} + {i % 97}?", answer=str(i + i % 97), source="scale")
            for i in range(start, min(start + ROWS_PER_FILE, num_problems))
        ]
        pq.write_table(to_table(rows, Problem), folder / f"{start:09}.parquet")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """One driver, from the prompts' files to the verdicts' files."""
    import pyarrow.dataset as pads

    from ded_ray.generate.identity import GenerateJob
    from ded_ray.generate.monitor import EngineMonitor
    from ded_ray.generate.ray_data import generate
    from ded_ray.runtime.connect import start_ray
    from ded_ray.runtime.progress import progress, start_actor
    from ded_ray.verify.ray_data import verify

    start_ray(num_cpus=8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "problems").mkdir()
        (folder / "verdicts").mkdir()
        write_problems(folder / "problems", arguments.problems)
        engine = ScriptedEngine(workers=arguments.workers, batch_size=256)
        generator = Teacher(model="scripted", engine=engine, sampling=Sampling(num_rollouts=NUM_ROLLOUTS))
        quarantine, started = folder / "quarantine.jsonl", time.time()
        job = GenerateJob(generator, 0, folder / "groups", quarantine)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with (
            progress("answers", arguments.problems, "problems", start_actor(EngineMonitor, quarantine, 0)) as monitor,
            generate(job, folder / "problems", monitor) as groups,
        ):
            verify(groups, Verify(batch_size=256, workers=arguments.workers)).write_parquet(str(folder / "verdicts"))
        seconds = time.time() - started
        verdicts = pads.dataset(folder / "verdicts", schema=schema_of(Group), format="parquet")
        if (rows := verdicts.count_rows()) != arguments.problems:
            raise RuntimeError(f"{rows} groups")
        first_verdict = min(path.stat().st_mtime for path in (folder / "verdicts").iterdir())
        last_group = max(path.stat().st_mtime for path in (folder / "groups").iterdir())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rollouts = arguments.problems * NUM_ROLLOUTS
    return {
        "problems": arguments.problems, "rollouts": rollouts, "seconds": round(seconds, 1),
        "microseconds_per_rollout": round(seconds / rollouts * 1e6, 1), "rollouts_per_s": round(rollouts / seconds),
        "driver_peak_mb": round(peak / 1024), "driver_mb_before": round(before / 1024),
        "first_verdict_s": round(first_verdict - started, 1), "last_group_s": round(last_group - started, 1),
    }  # fmt: skip


def on_nodes(num_nodes: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """The same as a driver that joins a simulated cluster of so many nodes."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    try:
        for _ in range(num_nodes - 1):
            cluster.add_node(num_cpus=4)
        return as_process(
            [f"--problems={arguments.node_problems}", f"--workers={num_nodes}"], {"RAY_ADDRESS": cluster.address}
        )
    finally:
        cluster.shutdown()


def as_process(flags: list[str], environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "jobs.bench.scale", "--one", *flags]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nodes", default="", help="such as 1,2,4")
    parser.add_argument("--node-problems", type=int, default=20_000)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run(arguments)))
        return
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    result = as_process([f"--problems={arguments.problems}", f"--workers={arguments.workers}"], {})
    result["ten_million"] = ten_million.measured_and_planned(ten_million.PROMPTS, ten_million.MEASURED)
    result["nodes"] = {num: on_nodes(int(num), arguments) for num in arguments.nodes.split(",") if num}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
