"""A simulated cluster of many engines, and what breaks first: `python -m jobs.bench.engines --engines 8,16,32`.

Every engine is a process of its own that holds a pretended GPU, eight to a Ray node; all nodes are on this one machine and
share its cores. Engines are scripted. However many there are, all together finish `--rate` groups a second: what 256 of them
would at 2,500 tokens a second each, in groups of eight answers of 4,000 tokens. So what grows from size to size is what
engines and nodes cost by being there: memory, their start, the time on a CPU that a group takes of the driver and of the
monitor, and the share of a core that GCS takes. A straight line through the sizes goes on to `--to` engines. Apart from
that: how many calls a second the monitor answers, and how many groups a second one engine saves.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ded_ray.errors import Stopped
from ded_ray.recipe import Sampling, ScriptedEngine, Teacher
from ded_ray.records import Group, Problem, Rollout, to_table

GPUS_PER_NODE, NUM_ROLLOUTS, TOKENS = 8, 8, 4_000
NODE_STORE_BYTES = 100 << 20
READY, OVER = "ready", "over"
FITTED = ("start_seconds", "driver_ms_per_group", "monitor_ms_per_group", "gcs_core_share", "driver_mb", "gcs_mb", "all_mb")
"""Of a size: what a line is laid through."""

ROLES = {
    "driver": "jobs.bench.engines --one", "monitor": "ray::EngineMonitor", "engine": "GenerateWorker", "gcs": "gcs_server",
    "raylet": "raylet/raylet", "agent": "Agent", "other": "ray",
}  # fmt: skip
"""Processes by what their command lines hold; the first that fits counts."""


def drive(num_engines: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """The driver of one size: generates until all engines are ready, and `--seconds` longer; prints a line at each."""
    import ray

    from ded_ray.generate.identity import GenerateJob
    from ded_ray.generate.monitor import EngineMonitor
    from ded_ray.generate.ray_data import generate
    from ded_ray.runtime.connect import start_ray
    from ded_ray.runtime.progress import start_actor

    start_ray()
    engine = ScriptedEngine(
        workers=num_engines, num_gpus=1, batch_size=1, seconds_per_group=num_engines / arguments.rate, error_rate=0
    )
    generator = Teacher(model="scripted", engine=engine, sampling=Sampling(num_rollouts=NUM_ROLLOUTS))
    found: dict[str, Any] = {"engines": num_engines}
    with tempfile.TemporaryDirectory() as name:
        folder, started = Path(name), time.monotonic()
        _write_problems(folder / "problems", round(arguments.rate * (arguments.patience + arguments.seconds)))
        monitor = start_actor(EngineMonitor, folder / "quarantine.jsonl", 0)

        def until_over() -> None:
            while (
                ray.get(monitor.read.remote())["engines"] < num_engines and time.monotonic() - started < arguments.patience
            ):
                time.sleep(0.5)
            before = ray.get(monitor.read.remote())
            found.update(ready=before["engines"], start_seconds=round(time.monotonic() - started, 1))
            print(READY, flush=True)
            time.sleep(arguments.seconds)
            after = ray.get(monitor.read.remote())
            found["groups_per_second"] = round((after["done"] - before.get("done", 0)) / arguments.seconds, 1)
            print(OVER, flush=True)
            monitor.stop.remote("enough")

        watching = threading.Thread(target=until_over)
        watching.start()
        try:
            job = GenerateJob(generator, 0, folder / "groups", folder / "quarantine.jsonl")
            with generate(job, folder / "problems", monitor) as groups:
                groups.count()
        except Stopped:
            watching.join()
    return found


def _write_problems(folder: Path, count: int) -> None:
    import pyarrow.parquet as pq

    folder.mkdir()
    rows = [Problem(problem_id=f"p{i}", prompt=f"What is {i} + 1?", answer=str(i + 1)) for i in range(count)]
    pq.write_table(to_table(rows, Problem), folder / "problems.parquet")


def at_size(num_engines: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """A cluster of this many engines, watched from outside."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": GPUS_PER_NODE // 2, "num_gpus": GPUS_PER_NODE, "object_store_memory": NODE_STORE_BYTES}
    head = {"num_cpus": 4, "num_gpus": 0, "include_dashboard": False}
    started = time.monotonic()
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        num_nodes = -(-num_engines // GPUS_PER_NODE)
        for _ in range(num_nodes):
            cluster.add_node(**node)
        nodes_seconds = time.monotonic() - started
        command = [sys.executable, "-m", "jobs.bench.engines", "--one", str(num_engines), *_flags(arguments)]
        environment = os.environ | {"RAY_ADDRESS": cluster.address}
        with _driver(command, environment) as lines:
            _until(lines, READY)
            before, memory, since = _cpu_seconds(), _megabytes(), time.monotonic()
            _until(lines, OVER)
            after, seconds = _cpu_seconds(), time.monotonic() - since
            result = json.loads(list(lines)[-1])
    finally:
        cluster.shutdown()
    rate = result["groups_per_second"] or float("nan")
    share = {role: round((after[role] - before[role]) / seconds, 3) for role in ROLES}
    of_nodes = sum(sum(memory[role]) for role in ("raylet", "agent")) / (num_nodes + 1)
    return result | {
        "nodes": num_nodes, "seconds_per_node": round(nodes_seconds / (num_nodes + 1), 1),
        "engine_mb": round(float(np.mean(memory["engine"]))), "node_mb": round(of_nodes),
        "driver_mb": round(sum(memory["driver"])), "monitor_mb": round(sum(memory["monitor"])),
        "gcs_mb": round(sum(memory["gcs"])), "all_mb": round(sum(map(sum, memory.values()))),
        "driver_ms_per_group": round(share["driver"] / rate * 1e3, 1),
        "monitor_ms_per_group": round(share["monitor"] / rate * 1e3, 1),
        "gcs_core_share": share["gcs"], "nodes_core_share": round(share["raylet"] + share["agent"], 3),
    }  # fmt: skip


@contextmanager
def _driver(command: list[str], environment: dict[str, str]) -> Iterator[Iterator[str]]:
    """What it prints, line by line. It does not outlive the block."""
    driver = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield (line.strip() for line in driver.stdout or ())
    finally:
        driver.kill()
        driver.wait()


def _flags(arguments: argparse.Namespace) -> list[str]:
    return [f"--{name}={getattr(arguments, name)}" for name in ("rate", "seconds", "patience")]


def _until(lines: Iterator[str], awaited: str) -> None:
    if awaited not in lines:
        raise RuntimeError(f"the driver ended before it was {awaited}")


def _processes() -> Iterator[tuple[str, psutil.Process]]:
    """(role, process) of all that was started here."""
    for process in psutil.Process().children(recursive=True):
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue  # it ended meanwhile
        role = next((role for role, part in ROLES.items() if part in command), None)
        if role:
            yield role, process


def _cpu_seconds() -> Counter[str]:
    seconds = Counter[str]()
    for role, process in _processes():
        times = process.cpu_times()
        seconds[role] += times.user + times.system
    return seconds


def _megabytes() -> dict[str, list[float]]:
    """Proportional set sizes: what processes share is divided among them."""
    sizes: dict[str, list[float]] = defaultdict(list)
    for role, process in _processes():
        sizes[role].append(process.memory_full_info().pss / 1e6)
    return sizes


def line_through(sizes: list[dict[str, Any]], to: int) -> dict[str, Any]:
    """What a straight line through the sizes says of `to` engines, and of each engine more."""
    numbers = [size["engines"] for size in sizes]
    found: dict[str, Any] = {}
    for name in FITTED:
        slope, first = np.polyfit(numbers, [size[name] for size in sizes], 1)
        found[name] = {"of_each_engine": round(float(slope), 4), f"at_{to}": round(float(first + slope * to), 2)}
    return found


def capacities(seconds: float) -> dict[str, Any]:
    """The central points alone: calls a second of a real monitor with four clients, groups a second that an engine saves."""
    import ray

    from ded_ray.generate.monitor import EngineMonitor, Finished
    from ded_ray.generate.store import GroupWriter
    from ded_ray.runtime.connect import start_ray
    from ded_ray.runtime.progress import start_actor

    start_ray()
    with tempfile.TemporaryDirectory() as name:
        monitor = start_actor(EngineMonitor, Path(name) / "quarantine.jsonl", 0)

        @ray.remote(num_cpus=1)
        def client(number: int) -> float:
            """Calls a second of one client: begin, finish and a heartbeat of a group, 50 groups at a time."""
            ray.get(monitor.register.remote(f"e{number}", "here"))
            calls, started = 0, time.monotonic()
            while (passed := time.monotonic() - started) < seconds:
                names = [f"{number:04x}{calls + i:012x}" for i in range(50)]
                pending = [monitor.begin.remote(f"e{number}", {each: each}) for each in names]
                pending += [monitor.finish.remote(f"e{number}", {each: Finished(8, 32_000, 0)}) for each in names]
                pending += [monitor.heartbeat.remote(f"e{number}") for _ in names]
                ray.get(pending)
                calls += len(pending)
            return calls / passed

        calls_per_second = sum(ray.get([client.remote(number) for number in range(4)]))
        writer, saved, started = GroupWriter(Path(name) / "groups"), 0, time.monotonic()
        while time.monotonic() - started < seconds:
            writer.save([_long_group(saved)])
            saved += 1
        saves_per_second = saved / (time.monotonic() - started)
    ray.shutdown()
    return {"monitor_calls_per_second": round(calls_per_second), "saved_groups_per_second": round(saves_per_second)}


def _long_group(number: int) -> Group:
    """Of eight answers with some 4,000 tokens each."""
    text = "".join(f"so {(number * 7919 + i * 31) % 9973} follows; " for i in range(TOKENS // 5))
    rollouts = [
        Rollout(index=i, completion=text, num_tokens=TOKENS, finish_reason="stop", seed=i) for i in range(NUM_ROLLOUTS)
    ]
    problem = Problem(problem_id=f"p{number}", prompt="What is it?", answer="1")
    return Group.of(problem, f"{number:016x}", "scripted", rollouts)


def asked_of_monitor(engines: int, rate: float) -> float:
    """Calls a second: begin and finish of every group, a heartbeat of every engine, and what the progress line reads."""
    from ded_ray.generate.monitor import HEARTBEAT_SECONDS

    return 2 * rate + engines / HEARTBEAT_SECONDS + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", default="8,16,32")
    parser.add_argument("--to", type=int, default=256)
    parser.add_argument("--rate", type=float, default=256 * 2_500 / (NUM_ROLLOUTS * TOKENS), help="groups a second of all")
    parser.add_argument("--seconds", type=float, default=30, help="how long each size is watched")
    parser.add_argument("--patience", type=float, default=300, help="seconds that its engines may take to start")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(drive(arguments.one, arguments)))
        return
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    sizes = []
    with tempfile.TemporaryDirectory(prefix="ray") as own:
        os.environ["RAY_TMPDIR"] = own  # else any Ray that is started on this machine would join ours
        for number in arguments.engines.split(","):
            sizes.append(at_size(int(number), arguments))
            print(json.dumps(sizes[-1]), file=sys.stderr, flush=True)
        result: dict[str, Any] = {"sizes": sizes, "central": capacities(min(10.0, arguments.seconds))}
    result["central"]["monitor_calls_per_second_asked"] = round(asked_of_monitor(arguments.to, arguments.rate))
    result["central"]["saved_groups_per_second_asked"] = round(arguments.rate / arguments.to, 3)
    if len(sizes) > 1:
        result["line"] = line_through(sizes, arguments.to)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
